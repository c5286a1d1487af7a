-- What the request-reply gateway is asked for.
local rbf = require "rbf"
local z = rbf.z
local app = rbf.defineBackend { queues = { jobs = {}, other = {} } }

local get = app:query("jobs", {
  path = "things.get.$id",
  handler = function(r)
    return r.db:one("SELECT id, value FROM things WHERE id = $1", r.params.id)
  end,
})

-- Matches the pattern above, too.
local list = app:query("jobs", {
  path = "things.get.all",
  handler = function(r)
    return { n = r.db:one("SELECT count(*) AS n FROM things").n }
  end,
})

-- What a handler sees of its request.
local see = app:query("jobs", {
  path = "see.$a.$b",
  input = z.any(),
  handler = function(r)
    return {
      params = r.params, input = r.input, subject = r.msg.subject, requestId = r.msg.requestId,
      attempt = r.msg.attempt, type = r.msg.type, header = r.msg.headers["X-Header"],
    }
  end,
})

-- Takes its time, without the database.
local slow = app:query("jobs", {
  path = "slow",
  input = z.object { ms = z.int() },
  handler = function(r)
    rbf.sleep { ms = r.input.ms }
    return "slept"
  end,
})

local broken = app:query("jobs", {
  path = "broken",
  handler = function(r)
    if r.msg.headers["X-Fail"] then
      rbf.fail { status = 403, code = "NOT_YOURS", message = "not yours" }
    end
    error "a bug"
  end,
})

local put = app:mutation("jobs", {
  path = "things.put.$id",
  input = z.object { value = z.any(), ms = z.int():optional() },
  handler = function(r)
    r.db:one "SELECT 1" -- may travel before the lookup of the outcome; what follows does not
    r.db:one "SELECT nextval('runs')"
    if r.input.ms then rbf.sleep { ms = r.input.ms } end
    r.db:insert("things", { id = r.params.id, value = r.input.value, request_id = r.msg.requestId })
    return { id = r.params.id, requestId = r.msg.requestId }
  end,
})

local refuse = app:mutation("jobs", {
  path = "refuse",
  handler = function()
    rbf.fail { status = 409, code = "NEVER", message = "never" }
  end,
})

local elsewhere = app:query("other", {
  path = "ping",
  handler = function()
    return "pong"
  end,
})

return {
  get = get, list = list, see = see, slow = slow, broken = broken, put = put, refuse = refuse,
  elsewhere = elsewhere,
}
