local rbf = require "rbf"
local app = require("app").app
local number = require "number"

local tick = app:mutation("jobs", {
  path = "tick",
  handler = function()
    return { n = number.value }
  end,
})

-- Still under way when the next edit comes.
local slow = app:mutation("jobs", {
  path = "slow",
  handler = function()
    local before = number.value
    rbf.sleep { ms = 800 }
    return { before = before, after = require("number").value }
  end,
})

return { tick = tick, slow = slow }
