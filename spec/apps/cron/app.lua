local rbf = require "rbf"
local z = rbf.z
local app = rbf.defineBackend { queues = { jobs = {} } }

local fire = app:mutation("jobs", {
  path = "fire.$who",
  input = z.object { label = z.string() },
  handler = function(r)
    r.db:exec("INSERT INTO fired (id, label, who) VALUES ($1, $2, $3)", r.msg.requestId, r.input.label, r.params.who)
  end,
})

return { app = app, fire = fire }
