--- rbf.http: requests to other services. The handler waits, others go on meanwhile.
local host = require "rbf.host"
local errors = require "rbf.errors"
local util = require "rbf.util"

local misuse = errors.misuse
local check_type, describe = util.check_type, util.describe
local concat = table.concat

local what = "rbf.http.request"
local methods = { GET = true, HEAD = true, POST = true, PUT = true, PATCH = true, DELETE = true, OPTIONS = true }
local option_keys = {
  method = true, url = true, headers = true, body = true, json = true, timeout = true,
  redirects = true, maxBytes = true,
}
-- Those follow from url and body; another value would let two servers read two requests in one.
local reserved = {
  host = true, connection = true, ["content-length"] = true, ["transfer-encoding"] = true,
  expect = true, te = true, trailer = true, upgrade = true, ["keep-alive"] = true,
}
local default_timeout, default_redirects, default_bytes = 10000, 5, 8 * 1024 * 1024
local most_redirects, most_bytes = 20, 256 * 1024 * 1024

-- ---------------------------------------------------------------- what goes

local function method_of(o)
  if o.method == nil then return "GET" end
  local method = check_type(o.method, "string", what .. ": method"):upper()
  if not methods[method] then
    misuse("%s: unknown method '%s'%s (known: %s)", what, o.method,
      util.did_you_mean(method, util.sorted_keys(methods)), concat(util.sorted_keys(methods), ", "))
  end
  return method
end

local function url_of(o)
  local url = check_type(o.url, "string", what .. ": url")
  if not url:find "^[Hh][Tt][Tt][Pp][Ss]?://[^/?#]" then
    misuse("%s: url must begin with https:// or http:// and a host, found %s", what,
      describe(url:match "^[^?#]*"))
  elseif url:find "[%s%c]" then
    misuse("%s: url holds white space or a control character: percent-encode it (%%20)", what)
  end
  return url
end

local function add_header(texts, name, value)
  if type(name) ~= "string" then
    misuse('%s: headers are a table such as { Accept = "text/plain" }, found the key %s', what, tostring(name))
  end
  if reserved[name:lower()] then misuse("%s: header '%s' is set by the host", what, name) end
  if type(value) == "number" then
    value = tostring(value)
  elseif type(value) ~= "string" then
    misuse("%s: header '%s' must be a string, found %s", what, name, describe(value))
  end
  if value:find "[%z\r\n]" then -- not shown: it may be a secret
    misuse("%s: header '%s' has a line break: what comes behind it would be another header", what, name)
  end
  texts[name] = value
end

--- JSON of the headers, nil when there are none; is_json: a Content-Type is due.
local function headers_of(o, is_json)
  local texts, typed = {}, false
  if o.headers ~= nil then check_type(o.headers, "table", what .. ": headers") end
  for name, value in pairs(o.headers or {}) do
    add_header(texts, name, value)
    typed = typed or name:lower() == "content-type"
  end
  if is_json and not typed then texts["Content-Type"] = "application/json" end
  if next(texts) == nil then return nil end
  local text, why = host.encode(texts, "headers")
  if not text then misuse("%s: %s", what, why) end
  return text
end

local function body_of(o, method)
  if o.body == nil and o.json == nil then return nil end
  if method == "GET" or method == "HEAD" then
    misuse("%s: a %s has no body; did you mean method = \"POST\"?", what, method)
  elseif o.json == nil then
    return check_type(o.body, "string", what .. ": body (json takes other values)")
  elseif o.body ~= nil then
    misuse("%s: body or json, not both", what)
  end
  local text, why = host.encode(o.json, "json")
  if not text then misuse("%s: %s", what, why) end
  return text
end

local function whole(value, name, least, most, default)
  if value == nil then return default end
  if type(value) ~= "number" or value % 1 ~= 0 or value < least or value > most then
    misuse("%s: %s must be a whole number from %d to %d, found %s", what, name, least, most, describe(value))
  end
  return value
end

-- ---------------------------------------------------------------- what comes

local Response = {}

--- The body as JSON tells it.
function Response:json()
  if type(self) ~= "table" or type(rawget(self, "body")) ~= "string" then
    misuse "use response:json(), with a colon"
  end
  local v, why = host.decode(self.body)
  if v == nil then
    error(errors.new("error", {
      status = 500, code = "HTTP_JSON",
      message = ("HTTP_JSON: the answer (status %d) is no JSON: %s"):format(self.status, why),
    }), 0)
  end
  return v
end

local fields = { "body", "headers", "json", "status", "url" }
local response_mt = {
  __index = function(_, k)
    if Response[k] then return Response[k] end
    misuse("an answer of rbf.http has no '%s'%s (it has %s)", tostring(k), util.did_you_mean(k, fields),
      concat(fields, ", "))
  end,
}

-- Names are in lower case, looked up whatever their case.
local headers_mt = {
  __index = function(t, name)
    return type(name) == "string" and rawget(t, name:lower()) or nil
  end,
}

--- Repeated headers are one list, but cookies may hold commas.
local function read_headers(lines)
  local headers = {}
  for name, value in lines:gmatch "([^:\n]+): ([^\n]*)\n" do
    local before = headers[name]
    headers[name] = before and before .. (name == "set-cookie" and "\n" or ", ") .. value or value
  end
  return setmetatable(headers, headers_mt)
end

--- The answer, or an error: rbf.Error with a code of ours, to be caught or not.
local function settle(ok, status, lines, body, url)
  if ok then
    return setmetatable({ status = status, headers = read_headers(lines), body = body, url = url }, response_mt)
  elseif ok == nil then
    misuse("%s works inside a handler only, and not in a callback of C code", what)
  end
  local message, code = status, lines
  if not code then misuse("%s: %s", what, message) end
  error(errors.new("error", { status = 500, code = code, message = code .. ": " .. message }), 0)
end

local http = {}

--- Sends a request and waits for its answer, whatever its status.
function http.request(o)
  check_type(o, "table", what .. "'s argument")
  if rawequal(o, http.self) then misuse("use %s { … }, with a dot", what) end
  util.check_keys(o, option_keys, what)
  local method, url = method_of(o), url_of(o)
  local body = body_of(o, method)
  local timeout = o.timeout == nil and default_timeout or util.timeout(o.timeout, what .. ": timeout")
  return settle(host.ask("http", method, url, headers_of(o, o.json ~= nil), body, timeout,
    whole(o.redirects, "redirects", 0, most_redirects, default_redirects),
    whole(o.maxBytes, "maxBytes", 1, most_bytes, default_bytes)))
end

local shown = util.readonly({ request = http.request }, "rbf.http")
http.self = shown
return shown
