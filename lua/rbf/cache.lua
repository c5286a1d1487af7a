--- r.cache, and `cache = {…}` of a query. Values travel as JSON text, so each get gives a fresh one.
local host = require "rbf.host"
local errors = require "rbf.errors"
local util = require "rbf.util"

local misuse = errors.misuse
local type, ceil = type, math.ceil

local _M = {}

local DEFAULT_TTL = 60
local LONGEST_TTL = 30 * 24 * 3600

local query, mutation = {}, {}
local of = { query = util.readonly(query, "cache"), mutation = util.readonly(mutation, "cache") }

do -- what a mutation does not have, but may look for
  local mt = getmetatable(of.mutation)
  local unknown = mt.__index
  function mt.__index(t, k)
    if k ~= "get" and k ~= "set" then return unknown(t, k) end
    misuse("cache:%s is for queries: what a mutation decides by must be read in its transaction, where "
      .. "PostgreSQL sees it; cache:invalidate(key) drops an entry with the commit", k)
  end
end

--- The r.cache of a query or a mutation.
function _M.of(kind) return of[kind] end

local function check(self, kind, verb, key)
  if self ~= of[kind] then misuse("use cache:%s(…), with a colon", verb) end
  local ok, why = host.cache_key(key)
  if not ok then misuse("cache:%s: %s, found %s", verb, why, util.describe(key)) end
end

--- What was answered; misuse when nobody could be asked.
local function answered(verb, ok, value)
  if ok then return value end
  if ok == nil then
    misuse("cache:%s: the cache cannot be asked inside a callback of table.sort, string.gsub or other C "
      .. "code: fetch what it needs before", verb)
  end
  misuse("cache:%s: %s", verb, value)
end

--- ttl in ms. blame: how messages begin.
local function milliseconds(ttl, blame)
  if ttl == nil then ttl = DEFAULT_TTL end
  if type(ttl) ~= "number" or not (ttl > 0 and ttl <= LONGEST_TTL) then
    misuse("%s must be a number of seconds above 0, 30 days at most, found %s%s", blame,
      util.describe(ttl), type(ttl) == "table" and " (write ttl = 60, not ttl = { seconds = 60 })" or "")
  end
  return ceil(ttl * 1000)
end

--- A fresh copy of what was kept; nil when there is nothing (any more).
function query:get(key)
  check(self, "query", "get", key)
  local text = answered("get", host.ask("cache.get", key))
  if text == nil then return nil end
  return (host.decode(text))
end

--- Keeps a copy, unless the key was invalidated since this query began.
function query:set(key, value, options)
  check(self, "query", "set", key)
  options = options == nil and {} or util.check_type(options, "table", "cache:set's options")
  util.check_keys(options, { ttl = true }, "cache:set")
  local ttl = milliseconds(options.ttl, "cache:set: ttl")
  if value == nil then
    misuse("cache:set: nil cannot be kept; cache:invalidate(key) takes an entry away, rbf.null is null")
  end
  local text, why = host.encode(value, "value")
  if not text then misuse("cache:set: %s", why) end
  answered("set", host.ask("cache.set", key, text, ttl))
end

--- Takes the entry away, everywhere, now.
function query:invalidate(key)
  check(self, "query", "invalidate", key)
  answered("invalidate", host.ask("cache.invalidate", key))
end

--- Takes the entry away, everywhere, when this mutation commits; not at all if it does not.
function mutation:invalidate(key)
  check(self, "mutation", "invalidate", key)
  local ok, why = host.cache_drop(key)
  if not ok then misuse("cache:invalidate: %s", why) end
end

-- ---------------------------------------------------------------- cache = { key =, ttl = }

local keys = { key = true, ttl = true }

--- What a definition says, checked; nil when it says nothing.
function _M.policy(kind, def)
  local given = def.cache
  if given == nil then return nil end
  if kind ~= "query" then
    misuse("'%s': cache is for queries; a mutation takes what it outdates away by r.cache:invalidate(key)",
      def.path)
  end
  util.check_type(given, "table", ("'%s': cache"):format(def.path))
  util.check_keys(given, keys, ("'%s': cache"):format(def.path))
  if type(given.key) ~= "function" then
    misuse("'%s': cache.key must be a function that gives the key, such as function(r) return \"user:\" .. "
      .. "r.params.id end, found %s", def.path, util.describe(given.key))
  end
  return { key = given.key, ttl = milliseconds(given.ttl, ("'%s': cache.ttl"):format(def.path)) }
end

--- "users.lua:12: " of a key function that has returned.
local function place(fn)
  local info = debug.getinfo(fn, "S")
  return ("%s:%d: "):format(info.short_src, info.linedefined)
end

--- This request's key; nil: it is not to be cached.
function _M.key(op, r)
  local fn = op.cache.key
  local key = fn(r)
  if key == nil then return nil end
  local ok, why = host.cache_key(key)
  if not ok then
    error(("%scache.key: %s (or nil: not to be cached), found %s"):format(place(fn), why,
      util.describe(key)), 0)
  end
  return key
end

--- Answers the call with what was kept under key; false: there is nothing.
function _M.answer(key)
  local ok, text = host.ask("cache.get", key)
  if not ok or text == nil then return false end
  host.answer(text)
  return true
end

--- Keeps the call's answer.
function _M.keep(op, key)
  host.ask("cache.set", key, host.answered(), op.cache.ttl)
end

return _M
