local rbf = require "rbf"

-- Queues are channels for work, each a NATS stream. All operations see `context` as r.ctx.
local app = rbf.defineBackend {
  queues = { jobs = {} },
  context = {},
}

return { app = app }
