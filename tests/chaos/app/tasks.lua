-- Work for later, work that is called off, work that fails.
local rbf = require "rbf"
local z = rbf.z
local app, note, followups = require "app", require "note", require "followups"

local run = app:mutation("events", {
  path = "tasks.run",
  input = z.object { tag = z.string() },
  handler = function(r)
    note.effect(r, "run")
  end,
})

-- Fails until it is mended.
local broken = app:mutation("events", {
  path = "tasks.broken",
  handler = function(r)
    if not r.db:one("SELECT works FROM settings").works then error "broken" end
    note.effect(r, "broken")
  end,
})

-- One task for each delay (ms); the first under a given id, which others may ask for too. What it
-- does at once meets no other transaction's rows: twins of it meet at the end.
local plan = app:mutation("jobs", {
  path = "tasks.plan",
  input = z.object { delays = z.array(z.int()), named = z.string():optional(), broken = z.boolean() },
  handler = function(r)
    local ids, now = {}, rbf.now()
    for i, ms in ipairs(r.input.delays) do
      local options = { input = { tag = r.msg.requestId } }
      if i % 2 == 0 then
        ids[i] = r.scheduler:runAfter({ ms = ms }, run, options)
      else
        ids[i] = r.scheduler:runAt(now + ms, run, options)
      end
      note.spawned(r, ids[i], now + ms)
    end
    if r.input.named then
      r.scheduler:runAfter({ ms = 200 }, run, { id = r.input.named, input = { tag = "shared" } })
      note.spawned(r, r.input.named, now + 200)
    end
    note.spawned(r, r.scheduler:enqueue(followups.notice, { input = { source = r.msg.requestId, hops = 0 } }))
    if r.input.broken then note.spawned(r, r.scheduler:enqueue(broken)) end
    note.effect(r, "plan")
    return { ids = rbf.array(ids) }
  end,
})

-- Holds what it has cancelled for a while before it commits: the task may become due meanwhile.
local cancel = app:mutation("jobs", {
  path = "tasks.cancel",
  input = z.object { id = z.string(), hold = z.int() },
  handler = function(r)
    local cancelled = r.scheduler:cancel(r.input.id)
    if r.input.hold > 0 then rbf.sleep { ms = r.input.hold } end
    r.db:exec("INSERT INTO cancels VALUES ($1, $2, $3)", r.input.id, r.msg.requestId, cancelled)
    note.effect(r, "cancel")
    return { cancelled = cancelled }
  end,
})

-- Fails in its first `fail` attempts.
local flaky = app:mutation("jobs", {
  path = "tasks.flaky",
  input = z.object { fail = z.int() },
  handler = function(r)
    if r.msg.attempt <= r.input.fail then error "not yet" end
    note.effect(r, "flaky")
    return { attempt = r.msg.attempt }
  end,
})

local refuse = app:mutation("events", {
  path = "tasks.refuse",
  handler = function(r)
    note.effect(r, "refuse")
    rbf.fail { status = 422, code = "NEVER", message = "never" }
  end,
})

-- Its worker dies of it, where the failpoint jobs.tasks.poison says so.
local poison = app:mutation("jobs", {
  path = "tasks.poison",
  handler = function(r)
    note.effect(r, "poison")
  end,
})

local tick = app:mutation("jobs", {
  path = "tasks.tick",
  handler = function(r)
    note.effect(r, "tick")
  end,
})

app:cron("* * * * * *", tick, { name = "tick" })
app:cron("* * * * * *", tick, { name = "tock" })

return { run = run, plan = plan, cancel = cancel, flaky = flaky, broken = broken, refuse = refuse, poison = poison, tick = tick }
