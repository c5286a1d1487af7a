--- The statements of a dry run that write, in their order, seen as they pass through host.sql.
local host = require "rbf.host"
local errors = require "rbf.errors"

local _M = {}

local list, marks -- nil: nobody looks

local reading = { SELECT = true, VALUES = true, TABLE = true, SHOW = true, EXPLAIN = true, SET = true, RESET = true,
  DECLARE = true, FETCH = true, MOVE = true, CLOSE = true, LOCK = true, DEALLOCATE = true }

--- WITH and EXPLAIN may hold a statement that writes.
local function has_write(upper)
  for _, word in ipairs { "INSERT", "UPDATE", "DELETE", "MERGE" } do
    if upper:find("%f[%w_]" .. word .. "%f[^%w_]") then return true end
  end
  return false
end

local function writes(text)
  local bare = text:gsub("/%*.-%*/", " "):gsub("%-%-[^\n]*", " ")
  local upper = bare:upper()
  local word = upper:match "^[%s(;]*(%u+)"
  if word == "WITH" or word == "EXPLAIN" then return has_write((upper:gsub("FOR%s+UPDATE", ""))) end
  return word and not reading[word]
end

local function shown(v)
  if v == nil then return host.null end
  local kind = type(v)
  if (kind == "string" or kind == "table" or v == host.null) and not host.encode(v, "parameter") then
    return kind == "string" and ("<%d bytes>"):format(#v) or "<" .. kind .. ">"
  end
  return v
end

local function add(text, values, n, ok, message)
  local savepoint = text:match "^SAVEPOINT (rbf_%d+)$"
  local back = text:match "^ROLLBACK TO SAVEPOINT (rbf_%d+)$"
  if savepoint then
    marks[savepoint] = #list
  elseif back then
    for i = (marks[back] or 0) + 1, #list do list[i].undone = true end
  elseif not text:find "^RELEASE SAVEPOINT rbf_" and writes(text) then
    local one = { sql = text, params = setmetatable({}, host.array_mt) }
    for i = 1, n do one.params[i] = shown(values[i]) end
    one.at = errors.here():match "^(.*): $"
    if ok then one.rows = host.affected() else one.error = message end
    list[#list + 1] = one
  end
end

local function noted(text, values, n, ok, message, ...)
  if list and (ok == true or ok == false) then add(text, values, n, ok, message) end
  return ok, message, ...
end

--- From now on statements are seen. Once.
function _M.watch()
  local sql, sql_list = host.sql, host.sql_list
  function host.sql(text, ...) return noted(text, { ... }, select("#", ...), sql(text, ...)) end
  function host.sql_list(text, values, oids, n)
    if oids == nil then return noted(text, values, #values, sql_list(text, values)) end
    return noted(text, values, n, sql_list(text, values, oids, n))
  end
end

function _M.begin() list, marks = setmetatable({}, host.array_mt), {} end

function _M.finish()
  local found = list
  list, marks = nil, nil
  return found
end

return _M
