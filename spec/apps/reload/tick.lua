local app = require("app").app
local number = require "number"

local tick = app:mutation("jobs", {
  path = "tick",
  handler = function()
    return { n = number.value }
  end,
})

-- Under way for as long as the spec holds advisory lock 7.
local slow = app:mutation("jobs", {
  path = "slow",
  timeout = { minutes = 2 },
  handler = function(r)
    local before = number.value
    r.db:one "SELECT pg_advisory_xact_lock(7)"
    return { before = before, after = require("number").value }
  end,
})

return { tick = tick, slow = slow }
