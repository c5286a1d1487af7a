-- What the bench measures. settings.lua is written by the bench: { group = 1 } turns grouping off.
local rbf = require "rbf"
local settings = require "settings"

local function queue() return { group = settings.group } end

return rbf.defineBackend { queues = { jobs = queue(), events = queue() } }
