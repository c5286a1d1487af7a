-- One operation for each thing a host does with its own tables and with NATS.
local rbf = require "rbf"
local z = rbf.z

local app = rbf.defineBackend {
  queues = { jobs = { ackWait = { seconds = 1 }, timeout = { ms = 900 } }, events = {} },
}

local function note(r, text)
  r.db:exec("INSERT INTO notes (text) VALUES ($1) ON CONFLICT DO NOTHING", text)
end

local follow = app:mutation("events", {
  path = "follow",
  input = z.object { text = z.string() },
  handler = function(r)
    note(r, r.input.text)
  end,
})

local add = app:mutation("jobs", {
  path = "users.add",
  input = z.object { text = z.string(), later = z.string():optional() },
  handler = function(r)
    note(r, r.input.text)
    r.scheduler:enqueue(follow, { input = { text = r.input.text .. " followed" } })
    r.scheduler:runAfter({ ms = 50 }, follow, { input = { text = r.input.text .. " later" } })
    if r.input.later then
      r.scheduler:runAfter({ hours = 1 }, follow, { input = { text = "never" }, id = r.input.later })
    end
    return { text = r.input.text }
  end,
})

local fail = app:mutation("jobs", {
  path = "users.fail",
  handler = function()
    rbf.fail { status = 422, code = "NO", message = "No." }
  end,
})

local flaky = app:mutation("jobs", {
  path = "users.flaky",
  retry = { initial = { ms = 20 } },
  handler = function(r)
    if r.msg.attempt < 3 then
      error "not yet"
    end
    note(r, "flaky")
  end,
})

-- For as long as somebody has advisory lock 5.
local slow = app:mutation("jobs", {
  path = "users.slow",
  timeout = { seconds = 25 },
  handler = function(r)
    r.db:exec "SELECT pg_advisory_xact_lock_shared(5)"
    note(r, "slow")
  end,
})

local list = app:query("jobs", {
  path = "users.list",
  handler = function(r)
    return r.db:one "SELECT count(*) AS n FROM notes"
  end,
})

-- What its role does not allow.
local steal = app:mutation("jobs", {
  path = "users.steal",
  retry = { maxAttempts = 1 },
  input = z.object { sql = z.string() },
  handler = function(r)
    r.db:exec(r.input.sql)
  end,
})

local ticked = app:mutation("events", {
  path = "ticked",
  handler = function(r)
    note(r, "ticked")
  end,
})
app:cron("* * * * * *", ticked, { name = "tick" })

return {
  app = app, add = add, follow = follow, fail = fail, flaky = flaky, slow = slow, list = list,
  steal = steal, ticked = ticked,
}
