---@meta _
-- Annotations of the client: rbf.backend, and what main.lua returns.
-- luacheck: ignore 241

--- Requests to the hosts of the app, from scripts (rbf exec SCRIPT.lua). Keys are the names of the
--- operations, or the operations themselves.
---@class rbf.Backend
---@field mutations rbf.Mutations
---@field queries rbf.Queries
---@field cancel fun(id: string): boolean by job or request id, true: it will never run (needs DATABASE_URL)

--- `rbf types` adds each operation of the app under its name.
---@class rbf.Mutations
---@field [string|rbf.Operation] rbf.ClientOperation

---@class rbf.Queries
---@field [string|rbf.Operation] rbf.ClientOperation

---@class rbf.CallOptions
---@field input? any sent as JSON; nil is null
---@field params? table<string, string|integer> of the path
---@field headers? table<string, string> Request-Id, Reply-To, RBF-* and Nats-* are the client's own
---@field timeout? rbf.Duration for all attempts together; 30 s. Then 503 (NATS or hosts away) or 504 is raised
---@field retries? integer when it is not stored or answered with 503, under the same request id; 2
---@field requestId? string default: a new UUID. The same id never takes effect twice

--- Called, it waits for the result (null: nil) and raises rbf.Error with code, status, message, issues and requestId.
---@class rbf.ClientOperation
---@overload fun(options?: rbf.CallOptions): any
local ClientOperation = {}

--- Sends without waiting, so that many requests are under way at once.
---@param options? rbf.CallOptions
---@return rbf.SentRequest
function ClientOperation:send(options) end

---@class rbf.SentRequest
---@field requestId string
local SentRequest = {}

--- The result, as if it had been called. What nobody waits for is waited for at the script's end.
---@return any
function SentRequest:wait() end
