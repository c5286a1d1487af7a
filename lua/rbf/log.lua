--- rbf.log and ctx.log: the host adds request id and operation while a call runs.
local host = require "rbf.host"
local errors = require "rbf.errors"
local util = require "rbf.util"

local methods = {}
local log = util.readonly(methods, "log")

local function method(name, level)
  methods[name] = function(self, message, fields)
    if self ~= log then errors.misuse('use log:%s("…"), with a colon', name) end
    if fields ~= nil then util.check_type(fields, "table", "log fields") end
    host.log(level, tostring(message), fields)
  end
end

method("debug", 0)
method("info", 1)
method("warn", 2)
method("error", 3)

return log
