--- What specs share: one connection, the transactions on it, and the state (clock, queue, fake
--- answers) that each file, describe and it puts back when it ends.
---
--- A level that wants the database begins the transaction, or a savepoint in the transaction of a
--- level around it (what a setup has inserted); at its end it is rolled back. With `commit`, it gets
--- a database of its own instead, which is thrown away.
local host = require "rbf.host"
local clock = require "rbf.testing.clock"
local errors = require "rbf.errors"

local _M = {}

local levels = {} -- of elements under way: { name, begun = nil | "transaction" | "savepoint" | "database" }
local connected -- nil, "shared", "fresh"

-- ---------------------------------------------------------------- state

local function new_state()
  return {
    pending = {}, scheduled = {}, published = {}, dead = {}, finished = {}, -- see queue.lua
    replies = {}, calls = {}, unexpected = {}, -- see http.lua
    cache = {}, -- see cache.lua
    counter = 0,
  }
end

local function copy(state)
  local result = {}
  for k, v in pairs(state) do
    if type(v) == "table" then
      local t = {}
      for k2, v2 in pairs(v) do t[k2] = v2 end
      v = t
    end
    result[k] = v
  end
  return result
end

_M.state = new_state()

-- ---------------------------------------------------------------- SQL

--- true, or false, message, sqlstate.
local function sql(text)
  local ok, message, sqlstate = host.sql(text)
  if ok == nil then error("specs cannot wait inside a callback of table.sort, string.gsub or other C code", 0) end
  return ok, message, sqlstate
end
_M.sql = sql

local function must(text)
  local ok, message, sqlstate = sql(text)
  if ok then return end
  if not sqlstate then connected = nil end
  error(errors.sql(message, sqlstate), 0)
end
_M.must = must

local function connect(which)
  if connected == which and which == "shared" then return end
  connected = nil
  local ok, why = host.ask("test.connect", which == "fresh")
  if not ok then error(why or "specs cannot wait here", 0) end
  connected = which
  must "SET idle_in_transaction_session_timeout = 0"
end

local deferred -- by connection: constraints that are checked at COMMIT, as SQL; false: none

local find_deferred = [[
SELECT string_agg(format('%I.%I', n.nspname, c.conname), ', ') AS names
FROM pg_constraint c JOIN pg_namespace n ON n.oid = c.connamespace WHERE c.condeferred]]

--- As at COMMIT: false, message, sqlstate. Then constraints are as they were.
function _M.check_deferred()
  if deferred == nil then
    must(find_deferred)
    local row = host.row()
    deferred = row and row.names or false
  end
  local ok, message, sqlstate = sql "SET CONSTRAINTS ALL IMMEDIATE"
  if not ok then return ok, message, sqlstate end
  if deferred then must("SET CONSTRAINTS " .. deferred .. " DEFERRED") end
  return true
end

-- ---------------------------------------------------------------- levels

local base = { name = "outside of specs", state = _M.state }

local function top() return levels[#levels] or base end

--- The level that holds the transaction or the database now.
local function holder()
  for i = #levels, 1, -1 do
    if levels[i].begun then return levels[i] end
  end
end

local function names()
  local parts = {}
  for i, level in ipairs(levels) do parts[i] = level.name end
  return table.concat(parts, " ")
end

--- From here to the end of this level the database is there. commit: with real commits.
function _M.use(commit)
  if host.plain then
    require("rbf.testing.blame").raise "this needs the database: run this spec by `rbf test`, which takes busted's flags, instead of busted"
  end
  local level, outer = top(), holder()
  if level == base then
    error("the database is there inside of setup, before_each and it: not while the spec file loads", 0)
  end
  if outer and (outer.begun == "database") ~= (commit or false) then
    error("one spec has either its transaction rolled back or, with commit = true, a database of its own", 0)
  end
  if level.begun or commit and outer then return end
  if commit then
    connect "fresh"
    level.begun = "database"
  elseif outer then
    must("SAVEPOINT spec_" .. #levels)
    level.begun = "savepoint"
  else
    connect "shared"
    must "BEGIN ISOLATION LEVEL SERIALIZABLE"
    level.begun = "transaction"
  end
end

function _M.enter(name)
  levels[#levels + 1] = { name = tostring(name), state = _M.state }
  _M.state = copy(_M.state)
  if not _M.state.moved then clock.set(clock.real()) end
  clock.seed(names())
end

--- fn runs when this level ends.
function _M.defer(fn)
  local level = top()
  level.deferred = level.deferred or {}
  table.insert(level.deferred, fn)
end

local function undo(level)
  if level.begun == "transaction" then
    must "ROLLBACK"
  elseif level.begun == "savepoint" then
    must("ROLLBACK TO SAVEPOINT spec_" .. #levels)
    must("RELEASE SAVEPOINT spec_" .. #levels)
  end
end

function _M.leave()
  local level = top()
  for _, fn in ipairs(level.deferred or {}) do fn() end
  local ok = pcall(undo, level)
  levels[#levels] = nil
  _M.state = level.state
  if _M.state.moved then clock.set(_M.state.moved) end
  if not ok then -- the connection broke, and its spec has said so: the next level has a new one
    connected = nil
    for _, l in ipairs(levels) do l.begun = nil end
  end
end

function _M.close()
  if connected then pcall(sql, "ROLLBACK") end
end

return _M
