-- Queries are on one queue and mutations on another, so that a spec can give each a host of its own.
local rbf = require "rbf"
local z = rbf.z

local app = rbf.defineBackend { queues = { reads = {}, writes = {} } }

local guarded = app:middleware(function(r)
  if r.msg.headers["X-Token"] ~= "good" then
    rbf.fail { status = 401, code = "UNAUTHORIZED", message = "who are you?" }
  end
  return { ctx = { token = "good" } }
end)

-- Runs the code that a spec sends: it sees r and rbf.
local code = z.object { code = z.string() }
local function run(r)
  local f = assert(load("local r, rbf = ... " .. r.input.code, "=sent"))
  local result = f(r, rbf) -- no tail call: messages name this line
  return result
end

local function read(r)
  local row = r.db:one("SELECT value FROM items WHERE id = $1", r.params.id)
  if not row then rbf.fail { status = 404, code = "NOT_FOUND", message = "no such item" } end
  return row.value
end

local function key_of(r)
  return "item:" .. r.params.id
end

return {
  item = app:query("reads", { path = "item.$id", output = z.string(), cache = { key = key_of, ttl = 3600 }, handler = read }),
  -- The same key, kept for a moment.
  brief = app:query("reads", { path = "brief.$id", cache = { key = function(r) return "brief:" .. r.params.id end, ttl = 0.3 },
    handler = read }),
  guarded = guarded:query("reads", { path = "guarded.$id", cache = { key = key_of, ttl = 3600 }, handler = read }),
  -- Only the named ones are cached.
  choosy = app:query("reads", {
    path = "choosy.$id",
    cache = { key = function(r) return r.params.id ~= "2" and "choosy:" .. r.params.id or nil end },
    handler = read,
  }),
  badKey = app:query("reads", { path = "badKey", cache = { key = function() return {} end }, handler = function() end }),
  badOutput = app:query("reads", {
    path = "badOutput", output = z.string(), cache = { key = function() return "badOutput" end },
    handler = function() return 1 end,
  }),
  -- Reads, waits until nobody holds advisory lock 7, then keeps what it has read.
  slow = app:query("reads", {
    path = "slow.$id",
    handler = function(r)
      r.cache:get(key_of(r))
      local value = read(r)
      r.db:query "SELECT pg_advisory_xact_lock_shared(7)"
      r.cache:set(key_of(r), value, { ttl = 3600 })
      return value
    end,
  }),
  ask = app:query("reads", { path = "ask", input = code, handler = run }),
  tell = app:mutation("writes", { path = "tell", input = code, handler = run }),
  change = app:mutation("writes", {
    path = "change.$id",
    input = z.object { value = z.string() },
    handler = function(r)
      r.db:update("items", { value = r.input.value }, { where = { id = r.params.id } })
      r.cache:invalidate(key_of(r))
      r.cache:invalidate "item:probe"
      return r.input.value
    end,
  }),
}
