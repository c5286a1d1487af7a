local rbf = require "rbf"
local z = rbf.z
local queue = { timeout = { seconds = 10 }, ackWait = { seconds = 12 } }
local app = rbf.defineBackend { queues = { jobs = queue, other = queue } }

-- Leaves a row each time it takes effect.
local run = app:mutation("jobs", {
  path = "run",
  input = z.object { n = z.int():default(1) },
  handler = function(r)
    r.db:exec("INSERT INTO effects (by) VALUES ($1)", r.msg.requestId)
    return { n = r.input.n }
  end,
})

-- So that a host can serve something else than jobs.
local idle = app:mutation("other", {
  path = "idle",
  handler = function()
    return rbf.null
  end,
})

return { run = run, idle = idle }
