-- What the wire contract looks like from inside.
local rbf = require "rbf"
local z = rbf.z
local base = rbf.defineBackend { queues = { jobs = {}, events = {} } }

-- Who may: says so in the handler's transaction.
local guarded = base:middleware(function(r)
  local who = r.msg.headers["Authorization"]
  if not who then rbf.fail { status = 401, message = "who are you?" } end
  if r.db.exec then r.db:exec("INSERT INTO audit VALUES ($1, $2)", who, r.msg.requestId) end
  return { ctx = { who = who } }
end)

local secret = guarded:mutation("jobs", {
  path = "secret",
  input = z.any(),
  handler = function(r)
    local n = r.db:one("SELECT nextval('runs') AS n").n
    if r.input == "refuse" then rbf.fail { status = 409, code = "REFUSED", message = "no" } end
    return { who = r.ctx.who, n = n }
  end,
})

local function note(r)
  r.db:insert("seen", {
    path = r.msg.operation, attempt = r.msg.attempt, request_id = r.msg.requestId,
    params = r.params, headers = r.msg.headers,
  })
end

local follow = base:mutation("events", {
  path = "follow.$name",
  input = z.any(),
  handler = function(r)
    note(r)
    if r.input == "again" and r.msg.attempt == 1 then rbf.retry { after = { ms = 10 } } end
  end,
})

local retried = base:mutation("jobs", {
  path = "retried",
  handler = function(r)
    if r.msg.attempt == 1 then rbf.retry { after = { ms = 10 } } end
    note(r)
  end,
})

local start = base:mutation("jobs", {
  path = "start",
  input = z.any(),
  handler = function(r)
    for _, one in ipairs(r.input) do
      local options = { input = one.input, params = { name = one.name }, headers = one.headers }
      if one.after then
        r.scheduler:runAfter({ ms = one.after }, follow, options)
      else
        r.scheduler:enqueue(follow, options)
      end
    end
  end,
})

-- The message of what the scheduler refuses.
local refused = base:mutation("jobs", {
  path = "refused",
  input = z.object { name = z.string(), value = z.string() },
  handler = function(r)
    local headers = { [r.input.name] = r.input.value }
    local ok, err = pcall(r.scheduler.enqueue, r.scheduler, follow, { params = { name = "x" }, headers = headers })
    local also = pcall(r.scheduler.publish, r.scheduler, "some.where", {}, { headers = headers })
    return { ok = ok, also = also, message = ok and "" or tostring(err) }
  end,
})

local get = base:query("jobs", {
  path = "get.$a.x.$b",
  handler = function(r)
    return r.params
  end,
})

return {
  secret = secret, follow = follow, start = start, retried = retried, refused = refused, get = get,
}
