local rbf = require "rbf"

-- One queue for each service of the saga. Payments wait for somebody else's server, so few of them
-- run at once, and they give it a while between attempts.
return rbf.defineBackend {
  queues = {
    orders = {},
    stock = {},
    payments = { concurrency = 4 },
  },
  context = { payments = require("settings").payments },
}
