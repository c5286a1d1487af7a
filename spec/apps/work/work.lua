local rbf = require "rbf"
local z = rbf.z
local app = rbf.defineBackend { queues = { jobs = {} } }

-- Touches no table.
local empty = app:mutation("jobs", {
  path = "work.empty",
  input = z.object { n = z.int() },
  handler = function(r)
    return { n = r.input.n }
  end,
})

-- Takes a few milliseconds, counts itself outside the transaction and leaves one row.
local run = app:mutation("jobs", {
  path = "work.run",
  group = 1, -- each run counts: none is begun beside others and given up because it sleeps
  input = z.object { id = z.int(), ms = z.int():default(5) },
  handler = function(r)
    r.db:one("SELECT nextval('runs')")
    rbf.sleep { ms = r.input.ms }
    r.db:exec("INSERT INTO done (id, by) VALUES ($1, $2)", r.input.id, r.msg.requestId)
    return { id = r.input.id }
  end,
})

return { empty = empty, run = run }
