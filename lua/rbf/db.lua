--- r.db: statements inside the handler's transaction. One Db for each run.
local host = require "rbf.host"
local errors = require "rbf.errors"
local util = require "rbf.util"

local misuse = errors.misuse
local concat = table.concat

local _M = {}
local Db = util.closed({}, "db")
Db.__index = Db

function _M.new()
  return setmetatable({ doomed = false, closed = false, depth = 0 }, Db)
end

-- The host begins and ends the transaction; a handler that did would break its guarantee.
local transaction_words = {
  BEGIN = true, START = true, COMMIT = true, END = true, ROLLBACK = true, ABORT = true,
  SAVEPOINT = true, RELEASE = true, PREPARE = true,
}

local function check(db, verb, sql)
  if type(db) ~= "table" or getmetatable(db) ~= Db then
    misuse("use db:%s(…), with a colon", verb)
  end
  if db.closed then misuse("this db belongs to a request that has ended; use r.db of this one") end
  if sql ~= nil or verb ~= "savepoint" then
    util.check_type(sql, "string", ("db:%s's first argument"):format(verb))
  end
end

--- sql without the comments and blanks in front of it.
local function skip_comments(sql)
  local rest, before = sql, nil
  while rest ~= before do
    before = rest
    rest = rest:gsub("^%s+", ""):gsub("^%-%-[^\n]*", ""):gsub("^/%*.-%*/", "")
  end
  return rest
end

local function check_statement(sql)
  local word = (sql:match "^%a+" or skip_comments(sql):match "^%a+")
  if word and transaction_words[word:upper()] then
    misuse("%s: the host begins and ends the transaction; db:savepoint(fn) undoes a part of it",
      word:upper())
  end
end

--- Sends a statement (through host.sql or host.sql_list) and waits. Then its result can be read.
local function send_by(how, db, sql, ...)
  if db.doomed then
    misuse("the transaction failed at an earlier statement (%s); put what may fail into "
      .. "db:savepoint(fn)", tostring(db.doomed))
  end
  local ok, message, sqlstate = how(sql, ...)
  if ok then return end
  if ok == nil then
    misuse("%s", message or "the database cannot be asked inside a callback of table.sort, "
      .. "string.gsub or other C code: fetch what it needs before")
  end
  local e = errors.sql(message, sqlstate)
  db.doomed = e
  error(e, 0)
end

local function send(db, sql, ...)
  return send_by(host.sql, db, sql, ...)
end

--- For results that cannot be had as Lua values.
local function readable(value, why)
  if why then misuse("%s", why) end
  return value
end

--- All rows, as a list of tables by column; NULL is absent.
function Db:query(sql, ...)
  check(self, "query", sql)
  check_statement(sql)
  send(self, sql, ...)
  return readable(host.rows())
end

--- The row, or nil when there is none; two rows are an error.
function Db:one(sql, ...)
  check(self, "one", sql)
  check_statement(sql)
  send(self, sql, ...)
  return readable(host.row())
end

--- How many rows were affected.
function Db:exec(sql, ...)
  check(self, "exec", sql)
  check_statement(sql)
  send(self, sql, ...)
  return host.affected()
end

--- "users" → "users" quoted; "app.users" → both parts.
local function quote(name, what)
  if type(name) ~= "string" or name == "" or name:find "%z" then
    misuse("%s must be a name, found %s", what, util.describe(name))
  end
  return '"' .. name:gsub('"', '""') .. '"'
end

local function quote_table(name)
  util.check_type(name, "string", "db:insert's table")
  local parts = {}
  for part in (name .. "."):gmatch "([^.]*)%." do parts[#parts + 1] = quote(part, "db:insert's table") end
  return concat(parts, ".")
end

local function columns_of(rows)
  local set = {}
  for i, row in ipairs(rows) do
    util.check_type(row, "table", ("db:insert: row %d"):format(i))
    for k in pairs(row) do
      if type(k) ~= "string" then misuse("db:insert: a column's name must be a string, found %s", util.describe(k)) end
      set[k] = true
    end
  end
  return util.sorted_keys(set)
end

--- The statement and its parameters: rows × columns, DEFAULT where a row has none.
local function insert_sql(name, rows)
  local columns = columns_of(rows)
  local target = "INSERT INTO " .. quote_table(name)
  if #columns == 0 then
    if #rows > 1 then misuse("db:insert: rows without columns can only be inserted one by one") end
    return target .. " DEFAULT VALUES RETURNING *", {}
  end
  local params, lines, names = {}, {}, {}
  for i, column in ipairs(columns) do names[i] = quote(column, "a column") end
  for i, row in ipairs(rows) do
    local slots = {}
    for j, column in ipairs(columns) do
      local v = row[column]
      if v == nil then
        slots[j] = "DEFAULT"
      else
        params[#params + 1] = v
        slots[j] = "$" .. #params
      end
    end
    lines[i] = "(" .. concat(slots, ", ") .. ")"
  end
  if #params > 65535 then
    misuse("db:insert: %d values, but PostgreSQL takes 65535 at once; insert in parts", #params)
  end
  return ("%s (%s) VALUES %s RETURNING *"):format(target, concat(names, ", "), concat(lines, ", ")), params
end

--- Inserts one row (gives it back) or a list of rows (gives the list back). nil means the column's
--- default, rbf.null NULL.
function Db:insert(name, values, ...)
  check(self, "insert", name)
  util.check_type(values, "table", "db:insert's values")
  if select("#", ...) > 0 then misuse("db:insert takes a table's name and values") end
  local many = values[1] ~= nil or getmetatable(values) == host.array_mt
  local rows = many and values or { values }
  if #rows == 0 then return setmetatable({}, host.array_mt) end
  local sql, params = insert_sql(name, rows)
  send_by(host.sql_list, self, sql, params)
  if many then return readable(host.rows()) end
  return readable(host.row())
end

--- Which errors a savepoint undoes and gives back: those a handler can foresee.
local function catchable(e)
  if not errors.is_error(e) then return true end
  if e.kind == "sql" then
    local class = e.sqlstate:sub(1, 2)
    return class == "22" or class == "23" or e.sqlstate == "P0001"
  end
  return e.kind == "error"
end

local function leave(db, name, mark, ok, ...)
  db.depth = db.depth - 1
  if ok and not db.doomed then
    send(db, "RELEASE SAVEPOINT " .. name)
    return true, ...
  end
  -- a failure that fn swallowed counts as one: what fn did is lost anyway
  local e = ...
  if ok then e = db.doomed end
  if not catchable(e) then error(e, 0) end
  db.doomed = false
  send(db, "ROLLBACK TO SAVEPOINT " .. name)
  send(db, "RELEASE SAVEPOINT " .. name)
  host.drop_since(mark)
  return false, errors.explain(e)
end

--- Runs fn; true and its results, or false and the error, with all it did undone.
function Db:savepoint(fn)
  check(self, "savepoint")
  util.check_type(fn, "function", "db:savepoint's argument")
  local name = "rbf_" .. self.depth + 1
  send(self, "SAVEPOINT " .. name)
  self.depth = self.depth + 1
  return leave(self, name, host.mark(), pcall(fn))
end

return _M
