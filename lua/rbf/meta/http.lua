---@meta _
-- Annotations of rbf.http, see rbf.lua beside.
-- luacheck: ignore 241

---@class rbf.http
local http = {}

---@class rbf.HttpRequest
---@field url string https:// or http://; what goes into it must be percent-encoded already
---@field method? "GET"|"HEAD"|"POST"|"PUT"|"PATCH"|"DELETE"|"OPTIONS" default: GET
---@field headers? table<string, string|number>
---@field body? string any bytes
---@field json? any sent as JSON, with its Content-Type; not together with body
---@field timeout? rbf.Duration of the whole, with redirects; 10 s, and never longer than the handler may run
---@field redirects? integer followed at most, 0 to 20; 5. At 0 the redirect itself is the answer
---@field maxBytes? integer of the answer's body, unpacked; 8 MiB

---@class rbf.HttpAnswer
---@field status integer
---@field headers table<string, string> names in lower case, looked up whatever their case; repeated ones joined by ", " (Set-Cookie by a line feed)
---@field body string unpacked, if it was compressed
---@field url string of the last redirect
local HttpAnswer = {}

--- The body as JSON tells it; raises an rbf.Error with the code HTTP_JSON when it is none.
---@return any # null is rbf.null
function HttpAnswer:json() end

--- Sends a request and waits for its answer, whatever its status; other handlers go on meanwhile, and
--- the transaction stays open. A handler can be run again: anything but GET and HEAD carries
--- `Idempotency-Key: <request id>/<n>`, the same on every rerun (n counts this run's requests),
--- unless you give one.
---
--- Without an answer it raises an rbf.Error that pcall catches, by its code: HTTP_URL, HTTP_RESOLVE,
--- HTTP_CONNECT, HTTP_TLS, HTTP_TIMEOUT, HTTP_TOO_LARGE, HTTP_REDIRECTS or HTTP_BROKEN. It fails
--- nothing in the transaction by itself.
---@param request rbf.HttpRequest
---@return rbf.HttpAnswer
function http.request(request) end
