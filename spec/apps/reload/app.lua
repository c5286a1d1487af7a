local rbf = require "rbf"

return { app = rbf.defineBackend { queues = { jobs = {} } } }
