local rbf = require "rbf"

-- Ten seconds are plenty for a transfer; a host that dies holds its accounts up no longer.
return rbf.defineBackend {
  queues = {
    jobs = { timeout = { seconds = 10 }, ackWait = { seconds = 12 } },
    events = {},
  },
}
