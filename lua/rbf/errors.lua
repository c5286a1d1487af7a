--- Errors: what users raise, what the host raises, and how both are sorted at a call's end.
--- Places are those of the app's own files, found by walking up the stack, not by counting levels.
local host = require "rbf.host"

local _M = {}

---@class rbf.Error
local Error = {}
Error.__index = Error
Error.__name = "rbf.Error"

--- "users.lua:12: " of the innermost line of the app; "" when none is on the stack.
local function here()
  local _, line, shown = host.here()
  return line and ("%s:%d: "):format(shown, line) or ""
end
_M.here = here

--- Raises a message that blames the user's line.
function _M.misuse(message, ...)
  if select("#", ...) > 0 then message = message:format(...) end
  error(here() .. message, 0)
end
local misuse = _M.misuse

function Error:__tostring()
  if self.requestId then -- of a request that a script sent
    return ("%s%s (%d %s)"):format(self.where or "", self.message, self.status, self.code)
  end
  local state = self.sqlstate and (" (SQLSTATE %s)"):format(self.sqlstate) or ""
  return (self.where or "") .. self.message .. state
end

--- kind: permanent, retry, input, output, sql, error (see struct failure of the host).
function _M.new(kind, fields)
  fields.kind = kind
  fields.where = here()
  return setmetatable(fields, Error)
end

--- Error as apps see it, as rbf.Error and by getmetatable: all requests share it.
local public = setmetatable({}, {
  __index = { __name = Error.__name, __tostring = function(e) return Error.__tostring(e) end },
  __newindex = function(_, k) misuse("rbf.Error.%s cannot be set: all requests share it", tostring(k)) end,
})
Error.__metatable = public
_M.public = public

function _M.is_error(e)
  return type(e) == "table" and getmetatable(e) == public
end

--- rbf.fail and rbf.retry: they end the handler whatever stands between (pcall, savepoint).
function _M.is_control(e)
  return type(e) == "table" and getmetatable(e) == public
    and (e.kind == "permanent" or e.kind == "retry")
end

-- SQL errors that are the request's fault. The server's own words may tell more than a caller
-- should know, so the caller gets these; the log gets the server's.
local by_sqlstate = {
  ["23505"] = { 409, "CONFLICT", "A row with the same key exists already" },
  ["23503"] = { 400, "BAD_REQUEST", "A row that is referred to does not exist, or is still in use" },
  ["22P02"] = { 400, "BAD_REQUEST", "A value does not have the form its column needs" },
}

function _M.sql(message, sqlstate)
  local known = by_sqlstate[sqlstate]
  return _M.new(sqlstate and "sql" or "error", {
    status = known and known[1] or 500,
    code = known and known[2] or "INTERNAL_SERVER_ERROR",
    message = message,
    public = known and known[3],
    sqlstate = sqlstate,
  })
end

-- As envelope_code_of in the host.
local codes = {
  [400] = "BAD_REQUEST", [401] = "UNAUTHORIZED", [403] = "FORBIDDEN", [404] = "NOT_FOUND", [408] = "TIMEOUT",
  [409] = "CONFLICT", [410] = "EXPIRED", [413] = "PAYLOAD_TOO_LARGE", [415] = "UNSUPPORTED_MEDIA_TYPE",
  [422] = "UNPROCESSABLE_CONTENT", [425] = "TOO_EARLY", [429] = "TOO_MANY_REQUESTS", [499] = "ABORTED",
}

local function checked(t, known, what)
  if type(t) ~= "table" then
    misuse("%s takes a table: %s, found %s", what, known.usage, type(t))
  end
  require("rbf.util").check_keys(t, known.keys, what)
  if t.message ~= nil and type(t.message) ~= "string" then
    misuse("%s: message must be a string, found a %s", what, type(t.message))
  end
  return t
end

local fail_form = {
  usage = 'rbf.fail { status = 409, code = "EMAIL_TAKEN", message = "…" }',
  keys = { status = true, code = true, message = true, details = true },
}

--- Ends the handler with an answer for the caller: permanent, never retried.
function _M.fail(t)
  checked(t, fail_form, "rbf.fail")
  local status = t.status == nil and 400 or t.status
  if type(status) ~= "number" or status < 400 or status > 599 or status % 1 ~= 0 then
    misuse("rbf.fail: status must be a whole number from 400 to 599, found %s", tostring(status))
  end
  local code = t.code or codes[status] or (status < 500 and "BAD_REQUEST" or "INTERNAL_SERVER_ERROR")
  if type(code) ~= "string" then misuse("rbf.fail: code must be a string, found a %s", type(code)) end
  local details
  if t.details ~= nil then
    local why
    details, why = host.encode(t.details, "details")
    if not details then misuse("rbf.fail: %s", why) end
  end
  error(_M.new("permanent", {
    status = status, code = code, message = t.message or code, details = t.details, json = details,
  }), 0)
end

local retry_form = {
  usage = "rbf.retry { after = { seconds = 30 }, message = \"…\" }",
  keys = { after = true, message = true },
}

--- Ends the handler; the message is tried again later.
function _M.retry(t)
  t = checked(t == nil and {} or t, retry_form, "rbf.retry")
  local after = t.after ~= nil and require("rbf.util").duration(t.after, "rbf.retry: after") or nil
  error(_M.new("retry", {
    status = 500, code = "INTERNAL_SERVER_ERROR", message = t.message or "the handler asked for a retry",
    after = after,
  }), 0)
end

--- Issues of a schema as "email: Invalid email; name: …".
local function summary(issues)
  local parts = {}
  for i = 1, math.min(#issues, 3) do
    local path = table.concat(issues[i].path, ".")
    parts[i] = (path ~= "" and path .. ": " or "") .. issues[i].message
  end
  if #issues > 3 then parts[4] = ("and %d more"):format(#issues - 3) end
  return table.concat(parts, "; ")
end

--- The error for values that do not fit a schema; kind: input, output or error (schema:parse).
function _M.invalid(kind, issues)
  local what = summary(issues)
  if kind == "output" then
    what = "Invalid output: " .. what
  elseif not what:find "^Invalid input" then
    what = "Invalid input: " .. what
  end
  return _M.new(kind, {
    status = kind == "input" and 400 or 500,
    code = kind == "input" and "BAD_REQUEST" or "INTERNAL_SERVER_ERROR",
    message = what,
    issues = issues,
    json = host.encode(issues, "issues"),
  })
end

-- Messages of Lua that need a word more, by pattern.
local hints = {
  { "attempt to yield across C%-call boundary",
    "a callback of table.sort or string.gsub cannot wait; fetch what it needs before" },
  { "attempt to index [^\n]*'scheduler' %(a nil value%)",
    "queries have no scheduler; make this operation a mutation (nor has onError, after the rollback)" },
  { "attempt to index [^\n]*'db' %(a nil value%)", "onError runs after the rollback, without db" },
  { "^[^\n]*not enough memory", "the app's Lua state reached --memory-limit; it is made anew" },
  { "attempt to index global 'io' %(a nil value%)", "handlers have no files" },
}

--- A Lua error message with advice where there is some.
function _M.explain(e)
  if type(e) ~= "string" then return e end
  for _, hint in ipairs(hints) do
    if e:find(hint[1]) and not e:find(hint[2], 1, true) then
      return ("%s (%s)"):format(e, hint[2])
    end
  end
  return e
end

--- A failure of the host's as an error for onError hooks. `message` is what the caller would be
--- told; `internal` (with the user's file and line) and `traceback` are for logs and reports.
function _M.of_failure(failure)
  local text = failure.details
  failure.details = nil
  if text then failure[failure.kind == "input" and "issues" or "details"] = host.decode(text) end
  return setmetatable(failure, Error)
end

function _M.copy(e)
  local result = {}
  for k, v in pairs(e) do result[k] = v end
  return setmetatable(result, Error)
end

--- What the host wants to know of an error value, see struct failure.
function _M.classify(e)
  if not _M.is_error(e) then
    local text = _M.explain(e)
    if type(text) ~= "string" then
      local ok, s = pcall(tostring, text)
      text = "error object: " .. (ok and tostring(s) or type(text))
    end
    return {
      kind = "error", status = 500, code = "INTERNAL_SERVER_ERROR",
      message = "Internal server error", internal = text,
    }
  end
  local hidden = e.kind == "error" or e.kind == "output" or e.kind == "sql" or e.kind == "retry"
  return {
    kind = e.kind,
    status = e.status,
    code = e.kind == "error" and "INTERNAL_SERVER_ERROR" or e.code,
    message = hidden and (e.public or "Internal server error") or e.message,
    details = not hidden and e.json or nil, -- of output, they would name what the caller shall not see
    internal = tostring(e),
    sqlstate = e.sqlstate,
    retry_after_ms = e.after,
  }
end

return _M
