--- How an operation that test.run has run failed: what t:mutate gives as its second value.
local host = require "rbf.host"
local errors = require "rbf.errors"

local _M = {}

local Failure = { __name = "rbf.testing.failure" }
Failure.__index = Failure

function Failure:__tostring()
  local text = ("%d %s: %s"):format(self.status, self.code, self.message)
  if self.internal and self.status >= 500 then text = text .. "\n" .. self.internal end
  if self.traceback and self.status >= 500 then text = text .. "\n  " .. self.traceback:gsub("\n", "\n  ") end
  return text
end

--- fields: kind, status, code, message and, where there are, internal, traceback, sqlstate, issues,
--- retry_ms.
function _M.new(fields) return setmetatable(fields, Failure) end

--- Errors of the last flight, which the framework never saw.
function _M.of_sql(message, sqlstate)
  local found = errors.classify(errors.sql(message, sqlstate))
  return _M.new {
    kind = "sql", status = found.status, code = found.code, message = found.message, internal = message,
    sqlstate = sqlstate,
  }
end

--- What test.run says behind "failed".
function _M.of_answer(status, body, kind, internal, traceback, sqlstate, retry_ms)
  local e = host.decode(body)
  sqlstate = sqlstate ~= "" and sqlstate or nil
  if kind == "sql" and status == 500 then -- the handler had swallowed it
    local known = _M.of_sql(internal, sqlstate)
    status, e.code, e.message = known.status, known.code, known.message
  end
  return _M.new {
    kind = kind, status = status, code = e.code, message = e.message, issues = e.issues,
    internal = internal, traceback = traceback, sqlstate = sqlstate, retry_ms = retry_ms,
  }
end

return _M
