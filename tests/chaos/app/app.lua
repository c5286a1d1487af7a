local rbf = require "rbf"
local settings = require "settings"

local queue = {
  ackWait = { seconds = 1 }, timeout = { seconds = 5 },
  group = settings.group, replicas = settings.replicas,
  retry = { maxAttempts = 3, backoff = "fixed", initial = { ms = 150 } },
}

return rbf.defineBackend { queues = { jobs = queue, events = queue } }
