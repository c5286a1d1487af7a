local rbf = require "rbf"
local z = rbf.z
local base = rbf.defineBackend {
  queues = { jobs = {}, slow = { subject = "slow_jobs", retry = { maxAttempts = 3, backoff = { { seconds = 10 }, { minutes = 1 } } } } },
  context = { owner = "nobody", token = "secret" },
}

local function auth(r)
  if r.msg.headers.authorization ~= "Bearer " .. r.ctx.token then rbf.fail { status = 401, message = "who are you?" } end
  return { ctx = { user = "me" } }
end

local ops = {}

ops.add = base:mutation("jobs", {
  path = "notes.add",
  input = z.object { key = z.string() },
  handler = function(r) return r.db:insert("notes", { key = r.input.key, owner = r.ctx.owner }) end,
})

ops.name = base:mutation("jobs", {
  path = "notes.name.$name",
  handler = function(r)
    r.db:insert("names", { name = r.params.name })
    return { name = r.params.name, at = rbf.now(), id = rbf.uuid() }
  end,
})

ops.both = base:mutation("jobs", {
  path = "notes.both",
  handler = function(r)
    r.db:insert("names", { name = "first" })
    r.scheduler:enqueue(ops.name, { params = { name = "later" } })
    error "then it broke"
  end,
})

ops.list = base:query("jobs", {
  path = "notes.list",
  handler = function(r) return r.db:query("SELECT key FROM notes ORDER BY id") end,
})

ops.cached = base:query("jobs", {
  path = "notes.cached",
  cache = { key = function() return "notes" end, ttl = 60 },
  handler = function(r) return { n = r.db:one("SELECT count(*) AS n FROM notes").n } end,
})

ops.change = base:mutation("jobs", {
  path = "notes.change",
  input = z.object { key = z.string() },
  handler = function(r)
    r.db:insert("notes", { key = r.input.key })
    r.cache:invalidate "notes"
    if r.input.key == "bad" then error "no" end
  end,
})

ops.writes = base:query("jobs", {
  path = "notes.writes",
  handler = function(r) return r.db:one("INSERT INTO names VALUES ('q') RETURNING name") end,
})

ops.mine = base:middleware(auth):query("jobs", {
  path = "notes.mine",
  handler = function(r) return { user = r.ctx.user } end,
})

ops.swallows = base:mutation("jobs", {
  path = "notes.swallows",
  handler = function(r)
    r.db:insert("names", { name = "twice" })
    pcall(function() r.db:insert("names", { name = "twice" }) end)
  end,
})

ops.flaky = base:mutation("slow", {
  path = "flaky",
  input = z.object { fail = z.number() },
  handler = function(r)
    if r.msg.attempt <= r.input.fail then error "not yet" end
    return r.msg.attempt
  end,
})

ops.plan = base:mutation("jobs", {
  path = "notes.plan",
  handler = function(r)
    local id = r.scheduler:runAfter({ hours = 1 }, ops.add, { input = { key = "delayed" }, headers = { ["X-From"] = "plan" } })
    r.scheduler:enqueue(ops.name, { params = { name = "now" } })
    r.scheduler:enqueue(ops.flaky, { input = { fail = 1 }, id = "flaky-1" })
    r.scheduler:publish("news.notes", { planned = true })
    return id
  end,
})

ops.unplan = base:mutation("jobs", {
  path = "notes.unplan",
  input = z.object { id = z.string(), fail = z.boolean():optional() },
  handler = function(r)
    local done = r.scheduler:cancel(r.input.id)
    if r.input.fail then error "no" end
    return done
  end,
})

ops.forever = base:mutation("jobs", {
  path = "notes.forever",
  handler = function(r) r.scheduler:enqueue(ops.forever) end,
})

ops.endless = base:mutation("jobs", {
  path = "notes.endless",
  handler = function() while true do end end,
})

ops.asks = base:mutation("jobs", {
  path = "notes.asks",
  input = z.object { url = z.string(), catch = z.boolean():optional() },
  handler = function(r)
    if r.input.catch then
      return { ok = pcall(rbf.http.request, { method = "POST", url = r.input.url, json = { a = 1 } }) }
    end
    return rbf.http.request({ method = "POST", url = r.input.url, json = { a = 1 } }):json()
  end,
})

ops.maps = base:middleware({
  onError = function(_, e)
    if e.code == "CONFLICT" then return { status = 410, code = "TAKEN", message = "taken" } end
  end,
}):mutation("jobs", {
  path = "notes.maps",
  handler = function(r) r.db:exec("INSERT INTO names VALUES ('m'), ('m')") end,
})

ops.role = base:mutation("jobs", {
  path = "notes.role",
  handler = function(r)
    r.db:exec("SET LOCAL search_path TO pg_catalog")
    return r.db:one("SELECT current_setting('search_path') AS path")
  end,
})

base:cron("0 * * * *", ops.add, { input = { key = "hourly" }, name = "hourly" })

ops.auth = auth
return ops
