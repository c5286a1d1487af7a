local rbf = require "rbf"

-- Queues are channels for work, each a NATS stream. `context` is shared by all operations.
local base = rbf.defineBackend {
  queues = { jobs = {}, events = {} },
  context = { greeting = "Welcome" },
}

-- Runs before each handler defined with `app`, in the same transaction; what it returns as ctx is
-- merged over the context. A real app would look a token in r.msg.headers up here.
local app = base:middleware(function(r)
  return { ctx = { user = { id = "user_123", name = "Jane Doe" } } }
end)

return { base = base, app = app }
