--- r.db: statements inside the handler's transaction. One Db for each run.
local host = require "rbf.host"
local errors = require "rbf.errors"
local params = require "rbf.params"
local sql = require "rbf.sql"
local util = require "rbf.util"

local misuse = errors.misuse

local _M = {}
local Db = util.closed({}, "db")
Db.__index = Db

--- type: "query" or "mutation".
function _M.new(type_)
  return setmetatable({ type = type_, call = host.main(), doomed = false, depth = 0 }, Db)
end

-- The host begins and ends the transaction; a handler that did would break its guarantee.
local transaction_words = {
  BEGIN = true, START = true, COMMIT = true, END = true, ROLLBACK = true, ABORT = true,
  SAVEPOINT = true, RELEASE = true, PREPARE = true,
}

local function check(db, verb, text)
  if type(db) ~= "table" or getmetatable(db) ~= Db then
    misuse("use db:%s(…), with a colon", verb)
  end
  if db.call ~= host.main() then misuse("this db belongs to a request that has ended; use r.db of this one") end
  if text ~= nil or verb ~= "savepoint" then
    util.check_type(text, "string", ("db:%s's first argument"):format(verb))
  end
end

--- Where the text behind the comment goes on: comments nest in PostgreSQL.
local function end_of_comment(text)
  local depth, at = 0, 1
  repeat
    local from = text:find("/*", at, true)
    local to = text:find("*/", at, true)
    if not to then return #text + 1 end
    if from and from < to then
      depth, at = depth + 1, from + 2
    else
      depth, at = depth - 1, to + 2
    end
  until depth == 0
  return at
end

--- text without the comments and blanks in front of it.
local function skip_comments(text)
  local rest, before = text, nil
  while rest ~= before do
    before = rest
    rest = rest:gsub("^[%s;]+", ""):gsub("^%-%-[^\n]*", "")
    if rest:find "^/%*" then rest = rest:sub(end_of_comment(rest)) end
  end
  return rest
end

local function check_statement(text)
  local word = (text:match "^%a+" or skip_comments(text):match "^%a+")
  word = word and word:upper()
  if transaction_words[word] then
    misuse("%s: the host begins and ends the transaction; db:savepoint(fn) undoes a part of it", word)
  elseif word == "LISTEN" or word == "UNLISTEN" then
    misuse("%s: no handler lives long enough to be notified; let a mutation's queue be what is listened to "
      .. "(NOTIFY works)", word)
  elseif word == "COPY" and text:upper():find "%f[%w_]STD[IO][NU]T?%f[^%w_]" then
    misuse("COPY from or to the client is not possible here; db:insert takes a list of rows, "
      .. "INSERT … SELECT unnest($1::text[]) arrays")
  end
end

--- Words that the server's message lacks, by SQLSTATE.
local function advice(db, message, sqlstate)
  if sqlstate == "25006" and db.type == "query" then
    return message .. "; queries are read-only: make this operation a mutation"
  elseif sqlstate == "42601" and message:find("multiple commands", 1, true) then
    return message .. "; send one statement a call"
  elseif sqlstate == "22P02" and message:find("json", 1, true) then
    return message .. "; a string for json or jsonb is JSON text, as rbf.json.encode gives it"
  end
  return message
end

--- Raises what host.sql said, unless it went well.
local function settle(db, ok, message, sqlstate)
  if ok then return end
  if ok == nil then
    misuse("%s", message or "the database cannot be asked inside a callback of table.sort, "
      .. "string.gsub or other C code: fetch what it needs before")
  end
  local e = errors.sql(advice(db, message, sqlstate), sqlstate)
  db.doomed = e
  error(e, 0)
end

--- Sends a statement (through host.sql or host.sql_list) and waits. Then its result can be read.
local function send_by(how, db, text, ...)
  if db.doomed then
    misuse("the transaction failed at an earlier statement (%s); put what may fail into "
      .. "db:savepoint(fn)", tostring(db.doomed))
  end
  local ok, message, sqlstate = how(text, ...)
  if ok == "types" then
    if how == host.sql_list then
      ok, message, sqlstate = params.send(text, (...), #(...))
    else
      ok, message, sqlstate = params.send(text, { ... }, select("#", ...))
    end
  end
  settle(db, ok, message, sqlstate)
end

local function send(db, text, ...)
  return send_by(host.sql, db, text, ...)
end

--- The result's rows; misuse when they cannot be had as Lua values.
local function rows_of(db)
  local rows, why, unknown = host.rows()
  if why then misuse("%s", why) end
  if unknown then settle(db, params.decode(rows, unknown)) end
  return rows
end

--- The result's only row, or nil.
local function row_of(db)
  local row, why, unknown = host.row()
  if why then misuse("%s", why) end
  if unknown then settle(db, params.decode({ row }, unknown)) end
  return row
end

--- All rows, as a list of tables by column; NULL is absent.
function Db:query(text, ...)
  check(self, "query", text)
  check_statement(text)
  send(self, text, ...)
  return rows_of(self)
end

--- The row, or nil when there is none; two rows are an error.
function Db:one(text, ...)
  check(self, "one", text)
  check_statement(text)
  send(self, text, ...)
  return row_of(self)
end

--- How many rows were affected.
function Db:exec(text, ...)
  check(self, "exec", text)
  check_statement(text)
  send(self, text, ...)
  return host.affected()
end

--- Runs what rbf.sql has built.
local function run(db, text, list)
  send_by(host.sql_list, db, text, list)
end

local function no_more(verb, usage, ...)
  if select("#", ...) > 0 then misuse("db:%s takes %s", verb, usage) end
end

--- The first row that fits, or nil.
function Db:findFirst(name, options, ...)
  check(self, "findFirst", name)
  no_more("findFirst", "a table's name and options", ...)
  run(self, sql.find("findFirst", name, options))
  return row_of(self)
end

--- All rows that fit.
function Db:findMany(name, options, ...)
  check(self, "findMany", name)
  no_more("findMany", "a table's name and options", ...)
  run(self, sql.find("findMany", name, options))
  return rows_of(self)
end

--- Inserts one row (gives it back; nil when onConflict left it out) or a list of rows (gives back
--- those that were written). nil means the column's default, rbf.null NULL.
function Db:insert(name, values, options, ...)
  check(self, "insert", name)
  util.check_type(values, "table", "db:insert's values")
  no_more("insert", "a table's name, values and options", ...)
  local many = sql.is_list(values)
  local rows = many and values or { values }
  if #rows == 0 then return setmetatable({}, host.array_mt) end
  run(self, sql.insert(name, rows, options))
  if many then return rows_of(self) end
  return row_of(self)
end

--- Changes the rows that fit; gives them back as they are now.
function Db:update(name, set, options, ...)
  check(self, "update", name)
  no_more("update", "a table's name, values and options", ...)
  run(self, sql.update(name, set, options))
  return rows_of(self)
end

--- Deletes the rows that fit; gives them back as they were.
function Db:delete(name, options, ...)
  check(self, "delete", name)
  no_more("delete", "a table's name and options", ...)
  run(self, sql.delete(name, options))
  return rows_of(self)
end

--- Which errors a savepoint undoes and gives back: those a handler can foresee.
local function catchable(e)
  if not errors.is_error(e) then return true end
  if e.kind == "sql" then
    local class = e.sqlstate:sub(1, 2)
    return class == "22" or class == "23" or e.sqlstate == "P0001" or e.sqlstate == "55P03" -- NOWAIT
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
