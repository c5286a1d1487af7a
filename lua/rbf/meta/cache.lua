---@meta rbf.cache
-- Annotations of the cache; see rbf.lua beside this file.
-- luacheck: ignore 241

--- Values by key, shared by all queries of the namespace: in each worker, or in Redis (REDIS_URL).
--- Keys are 1 to 1024 bytes of UTF-8. Values are copied in and out, as JSON is. It may forget
--- anything at any time; a Redis that is away is a miss.
---@class rbf.Cache
local Cache = {}

--- nil when nothing is there. Queries only.
---@param key string
---@return any # a fresh copy; lists are rbf.array, null is rbf.null
function Cache:get(key) end

--- Kept for ttl seconds (60), at most 1 MiB as JSON; not at all if the key was invalidated since
--- this query began. Queries only.
---@param key string
---@param value any what JSON can say; rbf.null for null
---@param options? { ttl?: number }
function Cache:set(key, value, options) end

--- In a mutation: with its commit, in every worker, whatever crashes; taken back by a savepoint's
--- rollback. In a query: now, unless something crashes.
---@param key string
function Cache:invalidate(key) end

--- `cache =` of a query: after the middleware and the check of the input, the kept answer for the
--- key is given without running the handler or asking the database. Errors are not kept.
---@class rbf.CachePolicy
---@field key fun(r: rbf.Request): string? nil: this request is not cached. Who may see different answers needs different keys
---@field ttl? number seconds; 60

---@class rbf.Definition
---@field cache? rbf.CachePolicy queries only

---@class rbf.Request
---@field cache rbf.Cache
