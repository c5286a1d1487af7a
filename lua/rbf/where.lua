--- rbf.op: what a `where` can ask of a column, and the SQL that says it. Pure functions.
--- A where is a table { column = value or operator, … } (all must hold), a combination of such
--- tables (and_, or_, not_), or rbf.all. Nothing in it may be nil: a value that is missing must
--- never widen what a statement finds.
local host = require "rbf.host"
local errors = require "rbf.errors"
local util = require "rbf.util"

local misuse = errors.misuse
local concat, select, type = table.concat, select, type

local _M = { op = {} }
local op = _M.op
local Op = { __name = "rbf.op" }

--- rbf.all: every row, said on purpose.
_M.all = setmetatable({}, { __tostring = function() return "rbf.all" end })

function _M.is_op(v) return getmetatable(v) == Op end
local is_op = _M.is_op

local function make(name, t)
  t.name = name
  return setmetatable(t, Op)
end

--- Refuses what SQL would compare to in surprising ways: nothing, NULL, functions, operators.
local function comparable(v, what)
  if v == nil then
    misuse("%s is nil; a missing value must not change what is found; rbf.op.isNull() finds NULL", what)
  elseif v == host.null then
    misuse("%s is rbf.null, which equals nothing in SQL; use rbf.op.isNull() or rbf.op.isNotNull()", what)
  elseif type(v) == "function" then
    misuse("%s is a function; operators are called: rbf.op.isNull()", what)
  elseif is_op(v) or v == _M.all then
    misuse("%s must be a plain value, found %s", what, is_op(v) and "rbf.op." .. v.name or "rbf.all")
  end
  return v
end

local function one_argument(name, ...)
  local n = select("#", ...)
  if n > 1 then misuse("rbf.op.%s takes one value, found %d", name, n) end
  return (...)
end

-- ---------------------------------------------------------------- operators

local comparisons = { eq = "=", ne = "<>", gt = ">", gte = ">=", lt = "<", lte = "<=" }
for name in pairs(comparisons) do
  op[name] = function(...)
    local v = comparable(one_argument(name, ...), ("rbf.op.%s: the value"):format(name))
    return make(name, { v })
  end
end

for name in pairs { like = true, ilike = true } do
  op[name] = function(...)
    local pattern = util.check_type(one_argument(name, ...), "string", ("rbf.op.%s's pattern"):format(name))
    return make(name, { pattern })
  end
end

function op.isNull() return make("isNull", {}) end

function op.isNotNull() return make("isNotNull", {}) end

function op.between(...)
  if select("#", ...) ~= 2 then misuse("rbf.op.between takes two values, found %d", select("#", ...)) end
  local from, to = ...
  return make("between", {
    comparable(from, "rbf.op.between: the first value"), comparable(to, "rbf.op.between: the second value"),
  })
end

--- A copy of a list without holes, fit for one array parameter.
local function list_of(name, list, ...)
  local what = "rbf.op." .. name
  if select("#", ...) > 0 or type(list) ~= "table" or is_op(list) then
    misuse("%s takes one list: %s { 1, 2, 3 }, found %s", what, what,
      select("#", ...) > 0 and "several values" or util.describe(list))
  end
  local copy, keys = {}, 0
  for _ in pairs(list) do keys = keys + 1 end
  for i = 1, keys do
    if list[i] == nil then misuse("%s takes a list without holes and other keys; entry %d is nil", what, i) end
    copy[i] = comparable(list[i], ("%s: entry %d"):format(what, i))
  end
  return setmetatable(copy, host.array_mt)
end

function op.in_(...) return make("in_", { list_of("in_", ...) }) end

function op.notIn(...)
  local list = list_of("notIn", ...)
  if #list == 0 then misuse("rbf.op.notIn's list is empty, which every row fits; rbf.all says so") end
  return make("notIn", { list })
end

--- Conditions or operators as separate arguments: so one that is nil is seen.
local function parts_of(name, ...)
  local n = select("#", ...)
  if n == 0 then misuse("rbf.op.%s takes at least one condition", name) end
  for i = 1, n do
    local part = select(i, ...)
    if part == _M.all then
      misuse("rbf.op.%s: rbf.all stands alone, it cannot be argument %d", name, i)
    elseif type(part) ~= "table" then
      misuse("rbf.op.%s: argument %d must be a condition such as { column = value } or an operator, found %s",
        name, i, util.describe(part))
    elseif #part > 0 and not is_op(part) then
      misuse("rbf.op.%s takes its conditions one by one, not as a list: rbf.op.%s({ a = 1 }, { b = 2 })", name, name)
    end
  end
  return make(name, { ... })
end

function op.and_(...) return parts_of("and_", ...) end

function op.or_(...) return parts_of("or_", ...) end

function op.not_(...)
  if select("#", ...) > 1 then misuse("rbf.op.not_ takes one condition, found %d", select("#", ...)) end
  return parts_of("not_", ...)
end

-- Lua's keywords cannot stand behind a dot; as rbf.op["in"] they can.
op["in"], op["and"], op["or"], op["not"] = op.in_, op.and_, op.or_, op.not_

_M.op = util.readonly(op, "rbf.op")

-- ---------------------------------------------------------------- SQL

--- "users" → users, quoted.
function _M.quote(name, what)
  if type(name) ~= "string" or name == "" or name:find "%z" then
    misuse("%s must be a name, found %s", what, util.describe(name))
  end
  return '"' .. name:gsub('"', '""') .. '"'
end

local joins = { and_ = " AND ", or_ = " OR " }

--- and_, or_ and not_ of what `each` makes of the parts.
local function combined(node, each)
  local parts = {}
  for i = 1, #node do parts[i] = each(node[i]) end
  if node.name == "not_" then return "NOT (" .. parts[1] .. ")" end
  return "(" .. concat(parts, joins[node.name]) .. ")"
end

--- One operator on a column. add(v) makes a parameter.
local function predicate(column, node, add)
  local name = node.name
  if joins[name] or name == "not_" then
    return combined(node, function(part)
      if not is_op(part) then
        misuse("rbf.op.%s on a column takes operators: rbf.op.%s(rbf.op.eq(1), …)", name, name)
      end
      return predicate(column, part, add)
    end)
  end
  if comparisons[name] then return ("%s %s %s"):format(column, comparisons[name], add(node[1])) end
  if name == "isNull" then return column .. " IS NULL" end
  if name == "isNotNull" then return column .. " IS NOT NULL" end
  if name == "like" then return ("%s LIKE %s"):format(column, add(node[1])) end
  if name == "ilike" then return ("%s ILIKE %s"):format(column, add(node[1])) end
  if name == "between" then return ("%s BETWEEN %s AND %s"):format(column, add(node[1]), add(node[2])) end
  -- one array parameter: the statement is the same for lists of any length, and prepared once
  if name == "in_" then return ("%s = ANY(%s)"):format(column, add(node[1])) end
  return ("%s <> ALL(%s)"):format(column, add(node[1]))
end

local function column_is(key, v, add, what)
  local column = _M.quote(key, what .. ": a column")
  if is_op(v) then return predicate(column, v, add) end
  if type(v) == "table" then
    misuse("%s: '%s' is a table; rbf.op.in_ {…} finds one of several values, rbf.op.eq {…} a jsonb or array value",
      what, key)
  end
  return ("%s = %s"):format(column, add(comparable(v, ("%s: '%s'"):format(what, key))))
end

local function condition(where, add, what)
  if is_op(where) then
    if not joins[where.name] and where.name ~= "not_" then
      misuse("%s: rbf.op.%s needs a column: { column = rbf.op.%s(…) }", what, where.name, where.name)
    end
    return combined(where, function(part) return condition(part, add, what) end)
  end
  local parts = {}
  for i, key in ipairs(util.sorted_keys(where)) do
    local v = where[key]
    if v == nil then misuse("%s: a column must be a name, found entry [%s]", what, key) end
    parts[i] = column_is(key, v, add, what)
  end
  if #parts == 0 then
    misuse("%s is empty (was a value in it nil?); rbf.all means all rows", what)
  end
  return #parts > 1 and "(" .. concat(parts, " AND ") .. ")" or parts[1]
end

--- " WHERE …" or, for rbf.all, "". verb names the caller in messages.
function _M.clause(where, add, verb)
  local what = verb .. ": where"
  if where == _M.all then return "" end
  if where == nil then misuse("%s is missing; rbf.all means all rows", what) end
  if type(where) ~= "table" then
    misuse("%s must be a table such as { id = 1 }, found %s", what, util.describe(where))
  end
  return " WHERE " .. condition(where, add, what)
end

return _M
