--- Lets lua/rbf run under plain busted: what it has for that itself (lua/rbf/host.lua), with places in
--- these specs, and crons that can be refused. Each spec file begins with
--- `local rbf = require("spec.rbf.fakehost")()`.
package.path = "lua/?.lua;lua/?/init.lua;" .. package.path

local host = dofile "lua/rbf/host.lua"

host.root = "."

function host.here()
  for level = 2, math.huge do
    local info = debug.getinfo(level, "Sl")
    if not info then return end
    if info.source:find("spec/rbf/.*_spec%.lua$") then
      return info.short_src, info.currentline, info.short_src
    end
  end
end

-- What makes specs and zones good is tested in C.
function host.check_cron(spec, tz)
  if spec == "bad" then return nil, "cron 'bad' has 1 fields" end
  if not tz:find "^%u" then return nil, ("no time zone '%s'"):format(tz) end
  return true
end

--- The framework, loaded afresh: nothing of another spec's definitions is left.
return function()
  for name in pairs(package.loaded) do
    if name == "rbf" or name:find "^rbf%." then package.loaded[name] = nil end
  end
  package.loaded["rbf.host"] = host
  return require "rbf"
end
