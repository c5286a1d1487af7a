--- Tables of the database: rows as db gives them, values as it takes them, and db's functions by
--- the table's name.
local text = require "rbf.types.text"

local concat, ipairs = table.concat, ipairs
local _M = {}

-- What columns of PostgreSQL's own types are in Lua; every other one is text (see docs/types.md).
local plain = {
  int2 = "integer", int4 = "integer", int8 = "integer", oid = "integer", float4 = "number", float8 = "number",
  bool = "boolean", json = "any", jsonb = "any",
}

--- The type of a column, and whether its domain refuses NULL. types: by oid, as text.
local function lua_type(types, oid)
  local t = types[tostring(oid)]
  if not t then return "string", false end
  if t.kind == "d" then
    local base, not_null = lua_type(types, t.base)
    return base, not_null or t.not_null
  elseif t.kind == "e" then
    local labels = {}
    for i, label in ipairs(t.labels) do labels[i] = text.quoted(label) end
    return text.union(labels), false
  elseif t.category == "A" and t.element ~= 0 then
    return text.part((lua_type(types, t.element))) .. "[]", false
  end
  return t.builtin and plain[t.name] or "string", false
end

local function class(name, fields)
  return ("---@class %s\n%s"):format(name, concat(fields, "\n"))
end

local function field(name, what, may_lack, comment)
  local key, of = text.field(name, what, may_lack)
  return ("---@field %s %s%s"):format(key, of, comment and " " .. comment or "")
end

--- The four classes of a table: row, what insert takes, what update takes, what can be asked for.
local function declare(out, types, t, name)
  local row, new, set, where, keys = {}, {}, {}, {}, {}
  for _, c in ipairs(t.columns) do
    local of, domain_not_null = lua_type(types, c.type)
    of = of .. ("[]"):rep((c.dimensions or 0) - 1)
    local nullable = not (c.not_null or domain_not_null)
    row[#row + 1] = field(c.name, of, nullable, c.sql)
    local value = nullable and of ~= "any" and of .. "|rbf.Null" or of
    if not c.generated then
      new[#new + 1] = field(c.name, value, nullable or c.default)
      set[#set + 1] = field(c.name, value, true)
    end
    where[#where + 1] = field(c.name, text.union { of, "rbf.Operator" }, true)
    keys[#keys + 1] = text.quoted(c.name)
  end
  for i, kind in ipairs { "row", "new", "set", "where" } do
    out[#out + 1] = class(("rbf.%s.%s"):format(kind, name), ({ row, new, set, where })[i])
  end
  out[#out + 1] = ("---@alias rbf.column.%s %s"):format(name, concat(keys, "|"))
end

-- Signatures, once for each table. The last of each function is for names that are not known when
-- this is written.
local forms = {
  'findFirst fun(self: rbf.Db, name: $lit, options: { where: $where, columns?: $cols, orderBy?: $order }): rbf.row.$name?',
  'findMany fun(self: rbf.Db, name: $lit, options: { where: $where, columns?: $cols, orderBy?: $order, '
    .. 'limit?: integer, offset?: integer }): rbf.row.$name[]',
  'insert fun(self: rbf.Db, name: $lit, values: rbf.new.$name): rbf.row.$name',
  'insert fun(self: rbf.Db, name: $lit, values: rbf.new.$name, options: $insert): rbf.row.$name?',
  'insert fun(self: rbf.Db, name: $lit, values: rbf.new.$name[], options?: $insert): rbf.row.$name[]',
  'update fun(self: rbf.Db, name: $lit, set: rbf.set.$name, options: { where: $where }): rbf.row.$name[]',
  'delete fun(self: rbf.Db, name: $lit, options: { where: $where }): rbf.row.$name[]',
}
local others = {
  "findFirst fun(self: rbf.Db, name: string, options: rbf.FindFirst): table?",
  "findMany fun(self: rbf.Db, name: string, options: rbf.FindMany): table[]",
  "insert fun(self: rbf.Db, name: string, values: table|table[], options?: $insert): table|table[]",
  "update fun(self: rbf.Db, name: string, set: table<string, any>, options: { where: rbf.Where }): table[]",
  "delete fun(self: rbf.Db, name: string, options: { where: rbf.Where }): table[]",
}

local function signature(form, t)
  return "---@field " .. form:gsub("%$(%a+)", {
    lit = t.literal, name = t.class, where = t.class and ("rbf.where.%s|rbf.Operator|rbf.All"):format(t.class),
    cols = t.class and ("rbf.column.%s|rbf.column.%s[]"):format(t.class, t.class),
    order = "rbf.Order|rbf.Order[]", insert = '{ onConflict?: "ignore"|rbf.OnConflict }',
  })
end

local function functions(out, tables)
  local lines = { "---@class rbf.Db" }
  for _, form in ipairs(forms) do
    for _, t in ipairs(tables) do lines[#lines + 1] = signature(form, t) end
  end
  for _, form in ipairs(others) do lines[#lines + 1] = signature(form, {}) end
  out[#out + 1] = concat(lines, "\n")
end

--- Appends the declarations of tables to out. Names with a dot in them cannot be asked for.
--- columns: { tables = { { schema, name, visible, columns = { { name, type, sql, not_null, default,
--- generated, dimensions } } } }, types = { [oid] = { … } } }, sorted.
function _M.write(columns, out, names)
  local named = {}
  for _, t in ipairs(columns.tables) do
    if not (t.name .. t.schema):find(".", 1, true) and #t.columns > 0 then
      local full = t.schema .. "." .. t.name
      local name = names:new("rbf.row." .. (t.visible and t.name or full)):sub(#"rbf.row." + 1)
      out[#out + 1] = ("-- table %s"):format(full)
      declare(out, columns.types, t, name)
      named[#named + 1] = {
        class = name,
        literal = (t.visible and text.quoted(t.name) .. "|" or "") .. text.quoted(full),
      }
    end
  end
  if named[1] then functions(out, named) end
  return #named
end

return _M
