---@meta _
-- Annotations of r.cache, and of `cache =` in the definition of a query.
-- luacheck: ignore 241

--- Values by key, shared by all queries of the namespace: in each worker, or in Redis (REDIS_URL).
--- Keys are 1 to 1024 bytes of UTF-8. Values are copied in and out, as JSON is. It may forget
--- anything at any time; a Redis that is away is a miss.
---@class rbf.Cache
local Cache = {}

--- nil when nothing is there.
---@param key string
---@return any # a fresh copy; lists are rbf.array, null is rbf.null
function Cache:get(key) end

--- Kept for ttl seconds (60), at most 1 MiB as JSON; not at all if the key was invalidated since
--- this query began.
---@param key string
---@param value any what JSON can say; rbf.null for null
---@param options? { ttl?: number }
function Cache:set(key, value, options) end

--- Takes the entry away, everywhere, now. (In a mutation it is safe against crashes.)
---@param key string
function Cache:invalidate(key) end

---@class rbf.MutationCache
local MutationCache = {}

--- Takes the entry away, everywhere, with the commit, whatever crashes; not at all if this mutation
--- does not commit, or a savepoint undoes it.
---@param key string
function MutationCache:invalidate(key) end

--- After the middleware and the check of the input, the answer kept for the key is given without
--- running the handler or asking the database. Errors are not kept.
---@class rbf.CachePolicy
---@field key fun(r: rbf.QueryRequest): string? nil: not cached. Who may see different things needs different keys
---@field ttl? number seconds; 60

---@class rbf.QueryDefinition
---@field cache? rbf.CachePolicy

---@class rbf.QueryRequest
---@field cache rbf.Cache

---@class rbf.MutationRequest
---@field cache rbf.MutationCache
