-- One operation during which the spec kills the worker, each time, and one that has done nothing.
local rbf = require "rbf"

local app = rbf.defineBackend { queues = { jobs = { ackWait = { seconds = 1 } } } }

-- A sequence does not roll back: the spec sees that it runs.
local poison = app:mutation("jobs", {
  path = "poison",
  handler = function(r)
    r.db:one("SELECT nextval('runs')")
    rbf.sleep { seconds = 20 }
  end,
})

local innocent = app:mutation("jobs", {
  path = "innocent",
  input = rbf.z.int(),
  handler = function(r)
    rbf.sleep { ms = 10 }
    r.db:exec("INSERT INTO mark VALUES ($1)", tostring(r.input))
  end,
})

return { poison = poison, innocent = innocent }
