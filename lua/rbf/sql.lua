--- The statements behind db:findMany, insert, update and delete. Pure functions: each gives the
--- text and the list of its parameters. Values are parameters only, names are quoted; columns come
--- in sorted order, so that the same request is the same text and is prepared once.
local host = require "rbf.host"
local errors = require "rbf.errors"
local util = require "rbf.util"
local where = require "rbf.where"

local misuse = errors.misuse
local quote = where.quote
local concat, ipairs, pairs, type = table.concat, ipairs, pairs, type

local _M = {}

local PARAMETERS_MAX = 65535 -- the protocol counts them in 16 bits

--- A list that grows by add(v), which gives the place holder.
local function parameters(verb)
  local list = {}
  return list, function(v)
    if where.is_op(v) or v == where.all then
      misuse("%s: %s belongs into where, it is no value", verb, v == where.all and "rbf.all" or "rbf.op." .. v.name)
    end
    local n = #list + 1
    if n > PARAMETERS_MAX then
      misuse("%s: more than %d values, which is what PostgreSQL takes at once; do it in parts", verb, PARAMETERS_MAX)
    end
    list[n] = v
    return "$" .. n
  end
end

--- "app.users" → both parts quoted.
local function table_name(name, verb)
  util.check_type(name, "string", verb .. "'s table")
  local parts = {}
  for part in (name .. "."):gmatch "([^.]*)%." do parts[#parts + 1] = quote(part, verb .. "'s table") end
  return concat(parts, ".")
end

--- A list of names without holes → quoted and joined. A string is a list of one.
local function names(list, what)
  if type(list) == "string" then list = { list } end
  util.check_type(list, "table", what)
  local quoted, keys = {}, 0
  for _ in pairs(list) do keys = keys + 1 end
  for i = 1, keys do quoted[i] = quote(list[i], what .. ": a column") end
  if keys == 0 then misuse("%s is empty", what) end
  return concat(quoted, ", ")
end

local function options_of(options, known, verb)
  if options == nil then options = {} end
  util.check_type(options, "table", verb .. "'s options")
  util.check_keys(options, known, verb)
  return options
end

-- ---------------------------------------------------------------- SELECT

local directions = {
  ["asc"] = "ASC", ["desc"] = "DESC",
  ["asc nulls first"] = "ASC NULLS FIRST", ["asc nulls last"] = "ASC NULLS LAST",
  ["desc nulls first"] = "DESC NULLS FIRST", ["desc nulls last"] = "DESC NULLS LAST",
}
local order_form = '"name", { name = "desc" } or a list of these'

--- "name" or { name = "desc" }.
local function order_item(item, what)
  if type(item) == "string" then return quote(item, what) end
  local key = type(item) == "table" and next(item)
  if type(key) ~= "string" then misuse("%s must be %s, found %s", what, order_form, util.describe(item)) end
  if next(item, key) then
    misuse("%s: { a = …, b = … } has no order; write { { a = … }, { b = … } }", what)
  end
  local direction = type(item[key]) == "string" and directions[item[key]:lower()]
  if not direction then
    misuse("%s: '%s' must be one of %s, found %s", what, key, concat(util.sorted_keys(directions), ", "),
      util.describe(item[key]))
  end
  return quote(key, what) .. " " .. direction
end

local function order_by(order, verb)
  local what = verb .. ": orderBy"
  if order == nil then return "" end
  if type(order) ~= "table" or order[1] == nil then return " ORDER BY " .. order_item(order, what) end
  local items, keys = {}, 0
  for _ in pairs(order) do keys = keys + 1 end
  for i = 1, keys do items[i] = order_item(order[i], what) end
  return " ORDER BY " .. concat(items, ", ")
end

local function count(options, key, verb)
  local n = options[key]
  if type(n) ~= "number" or n < 0 or n % 1 ~= 0 or n > 2 ^ 53 then
    misuse("%s: %s must be a whole number from 0 on, found %s", verb, key, util.describe(n))
  end
  return n
end

local find_keys = {
  findFirst = { where = true, columns = true, orderBy = true },
  findMany = { where = true, columns = true, orderBy = true, limit = true, offset = true },
}

--- verb: findFirst (at most one row) or findMany.
function _M.find(verb, name, options)
  local what = "db:" .. verb
  options = options_of(options, find_keys[verb], what)
  local params, add = parameters(what)
  local columns = options.columns == nil and "*" or names(options.columns, what .. ": columns")
  local text = ("SELECT %s FROM %s%s%s"):format(columns, table_name(name, what),
    where.clause(options.where, add, what), order_by(options.orderBy, what))
  if verb == "findFirst" then return text .. " LIMIT 1", params end
  if options.limit ~= nil then text = text .. " LIMIT " .. add(count(options, "limit", what)) end
  if options.offset ~= nil then text = text .. " OFFSET " .. add(count(options, "offset", what)) end
  return text, params
end

-- ---------------------------------------------------------------- INSERT

--- All columns that some row has, sorted.
local function columns_of(rows)
  local set, keys = {}, 0
  for _ in pairs(rows) do keys = keys + 1 end
  for i = 1, keys do
    if rows[i] == nil then
      misuse("db:insert takes one row, or a list of rows without holes and other keys; row %d is nil", i)
    end
  end
  for i, row in ipairs(rows) do
    if type(row) ~= "table" then util.check_type(row, "table", ("db:insert: row %d"):format(i)) end
    for k in pairs(row) do
      if type(k) ~= "string" then misuse("db:insert: a column's name must be a string, found %s", util.describe(k)) end
      set[k] = true
    end
  end
  return util.sorted_keys(set)
end

--- "(…), (…)": DEFAULT where a row has no value.
local function values_of(rows, columns, add)
  local lines = {}
  for i, row in ipairs(rows) do
    local slots = {}
    for j, column in ipairs(columns) do
      local v = row[column]
      slots[j] = v == nil and "DEFAULT" or add(v)
    end
    lines[i] = "(" .. concat(slots, ", ") .. ")"
  end
  return concat(lines, ", ")
end

local conflict_keys = { columns = true, constraint = true, update = true }
local conflict_form = 'onConflict must be "ignore" or { columns = {…}, update = {…} }'

local function conflict_target(c, what)
  if c.columns ~= nil and c.constraint ~= nil then misuse("%s: either columns or constraint, not both", what) end
  if c.columns ~= nil then return "(" .. names(c.columns, what .. ".columns") .. ")" end
  if c.constraint ~= nil then return "ON CONSTRAINT " .. quote(c.constraint, what .. ".constraint") end
  misuse("%s needs columns (or constraint): those that the unique index is on", what)
end

--- All inserted columns but those that conflicted.
local function other_columns(c, columns)
  local target, list = {}, {}
  local conflicting = type(c.columns) == "table" and c.columns or { c.columns }
  for _, name in ipairs(conflicting) do target[name] = true end
  for _, name in ipairs(columns) do
    if not target[name] then list[#list + 1] = name end
  end
  return list
end

--- update = { "name", visits = 1 }: entries of the list take the new row's value, keys the value
--- given; rbf.all: every column that was to be inserted.
local function conflict_update(c, columns, add, what)
  local update = c.update == where.all and other_columns(c, columns) or c.update
  util.check_type(update, "table", what .. ".update")
  local sets = {}
  for _, name in ipairs(update) do
    local column = quote(name, what .. ".update: a column")
    sets[#sets + 1] = ("%s = EXCLUDED.%s"):format(column, column)
  end
  local listed = #sets
  for _, key in ipairs(util.sorted_keys(update)) do
    local v = update[key]
    if v ~= nil then
      sets[#sets + 1] = ("%s = %s"):format(quote(key, what .. ".update: a column"), add(v))
    elseif not (tonumber(key) and tonumber(key) <= listed) then
      misuse("%s.update is a list with holes", what)
    end
  end
  if #sets == 0 then misuse('%s.update is empty; leave it out (or onConflict = "ignore") to do nothing', what) end
  return " DO UPDATE SET " .. concat(sets, ", ")
end

local function on_conflict(c, columns, add)
  local what = "db:insert: onConflict"
  if c == nil then return "" end
  if c == "ignore" then return " ON CONFLICT DO NOTHING" end
  if type(c) ~= "table" then misuse("db:insert: %s, found %s", conflict_form, util.describe(c)) end
  util.check_keys(c, conflict_keys, what)
  local clause = " ON CONFLICT " .. conflict_target(c, what)
  if c.update == nil then return clause .. " DO NOTHING" end
  return clause .. conflict_update(c, columns, add, what)
end

local insert_keys = { onConflict = true }

local TEXTS_MAX = 256
local texts, n_texts = {}, 0

--- The statement for one row, made once for a table and its columns: handlers ask for the same again
--- and again.
local function one_row_text(name, row, columns)
  local key = ("%d\0%s\0%s"):format(#columns, name, concat(columns, "\0"))
  local text = texts[key]
  if not text then
    if n_texts == TEXTS_MAX then texts, n_texts = {}, 0 end
    local _, add = parameters "db:insert"
    text = ("INSERT INTO %s (%s) VALUES %s RETURNING *"):format(table_name(name, "db:insert"),
      names(columns, "db:insert"), values_of({ row }, columns, add))
    texts[key], n_texts = text, n_texts + 1
  end
  return text
end

--- Rows × columns.
function _M.insert(name, rows, options)
  options = options_of(options, insert_keys, "db:insert")
  local params, add = parameters "db:insert"
  local columns = columns_of(rows)
  if #rows == 1 and #columns > 0 and options.onConflict == nil then
    for i = 1, #columns do add(rows[1][columns[i]]) end
    return one_row_text(name, rows[1], columns), params
  end
  local target = table_name(name, "db:insert")
  if #columns == 0 then
    if #rows > 1 then misuse("db:insert: rows without columns can only be inserted one by one") end
    return ("INSERT INTO %s DEFAULT VALUES%s RETURNING *"):format(target,
      on_conflict(options.onConflict, columns, add)), params
  end
  return ("INSERT INTO %s (%s) VALUES %s%s RETURNING *"):format(target, names(columns, "db:insert"),
    values_of(rows, columns, add), on_conflict(options.onConflict, columns, add)), params
end

-- ---------------------------------------------------------------- UPDATE, DELETE

local where_keys = { where = true }

function _M.update(name, set, options)
  util.check_type(set, "table", "db:update's values")
  options = options_of(options, where_keys, "db:update")
  local params, add = parameters "db:update"
  local sets = {}
  for i, key in ipairs(util.sorted_keys(set)) do
    if set[key] == nil then misuse("db:update's values must be by column, found entry [%s]", key) end
    sets[i] = ("%s = %s"):format(quote(key, "db:update: a column"), add(set[key]))
  end
  if #sets == 0 then misuse("db:update: there is nothing to set (nil is absent; rbf.null writes NULL)") end
  return ("UPDATE %s SET %s%s RETURNING *"):format(table_name(name, "db:update"), concat(sets, ", "),
    where.clause(options.where, add, "db:update")), params
end

function _M.delete(name, options)
  options = options_of(options, where_keys, "db:delete")
  local params, add = parameters "db:delete"
  return ("DELETE FROM %s%s RETURNING *"):format(table_name(name, "db:delete"),
    where.clause(options.where, add, "db:delete")), params
end

--- Is it a list of rows, or one row?
function _M.is_list(values)
  return values[1] ~= nil or getmetatable(values) == host.array_mt
end

return _M
