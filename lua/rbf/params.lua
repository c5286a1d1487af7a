--- Values whose form depends on types that must be asked for. Parameters that are tables or bytes:
--- the server describes the statement, the host keeps its answer with the prepared statement.
--- Columns of the app's own types (enum[] and such): pg_type tells.
local host = require "rbf.host"

local ipairs, pairs, type = ipairs, pairs, type

local _M = {}

-- A type that the host does not know → one that it does and that is written the same way. An oid
-- is never another type's while the database lives.
local known = {}

local TEXT_ARRAY = 1009

local pg_type = "SELECT typtype::text AS kind, typcategory::text AS category, typbasetype::int8 AS base, "
  .. "typelem::int8 AS element FROM pg_catalog.pg_type WHERE oid = $1::oid"

--- The type that oid is written like: a domain as its base, enum[] as text[] and so on. Or nil and
--- what host.sql says of a failure.
local function resolve(oid)
  if host.type_known(oid) then return oid end
  if known[oid] then return known[oid] end
  local ok, message, sqlstate = host.sql(pg_type, oid)
  if not ok then return nil, ok, message, sqlstate end
  local row, like = host.row(), oid
  if row and row.kind == "d" then
    like, ok, message, sqlstate = resolve(row.base)
  elseif row and row.category == "A" and row.element ~= 0 then
    like, ok, message, sqlstate = resolve(row.element)
    like = like and (host.array_of(like) or TEXT_ARRAY)
  end
  if not like then return nil, ok, message, sqlstate end
  known[oid] = like
  return like
end

--- As host.sql_list, for a list of n parameters some of which need their types.
function _M.send(text, list, n)
  local ok, oids, sqlstate = host.types(text)
  if not ok then return ok, oids, sqlstate end
  for i = 1, n do
    local t = type(list[i])
    if oids[i] and (t == "table" or t == "string") then
      local message
      oids[i], ok, message, sqlstate = resolve(oids[i])
      if not oids[i] then return ok, message, sqlstate end
    end
  end
  return host.sql_list(text, list, oids, n)
end

--- Turns the text of columns into what it stands for, in all rows; unknown: oid by column. As
--- host.sql, or nil and a message when a value cannot be had in Lua.
function _M.decode(rows, unknown)
  for column, oid in pairs(unknown) do
    local like, ok, message, sqlstate = resolve(oid)
    if not like then return ok, message, sqlstate end
    if like ~= oid then
      for _, row in ipairs(rows) do
        local text = row[column]
        if text ~= nil then row[column], message = host.decode_column(text, column, like) end
        if message then return nil, message end
      end
    end
  end
  return true
end

return _M
