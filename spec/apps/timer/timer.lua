local rbf = require "rbf"
local z = rbf.z
local app = rbf.defineBackend { queues = { jobs = {}, events = {} } }

local fire = app:mutation("events", {
  path = "timer.fire",
  input = z.object { id = z.string() },
  handler = function(r)
    r.db:exec("INSERT INTO fired (id, at) VALUES ($1, clock_ms())", r.input.id)
  end,
})

local set = app:mutation("jobs", {
  path = "timer.set",
  input = z.object { id = z.string(), ms = z.int() },
  handler = function(r)
    r.db:exec("INSERT INTO timers (id, set_at, ms) VALUES ($1, clock_ms(), $2)", r.input.id, r.input.ms)
    local job = r.scheduler:runAfter({ ms = r.input.ms }, fire, { input = { id = r.input.id } })
    return { job = job }
  end,
})

-- At a time given in ms since 1970; the task is named by its path.
local setAt = app:mutation("jobs", {
  path = "timer.setAt",
  input = z.object { id = z.string(), at = z.number() },
  handler = function(r)
    r.db:exec("INSERT INTO timers (id, set_at, ms) VALUES ($1, $2, 0)", r.input.id, r.input.at)
    return { job = r.scheduler:runAt(r.input.at, "events.timer.fire", { input = { id = r.input.id } }) }
  end,
})

return { fire = fire, set = set, setAt = setAt }
