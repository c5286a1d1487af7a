--- Lets lua/rbf run under plain busted: what the C host gives it, as far as definitions and schemas
--- need it. Each spec file begins with `local rbf = require("spec.rbf.fakehost")()`.
local cjson = require "cjson"

package.path = "lua/?.lua;lua/?/init.lua;" .. package.path

local host = { null = cjson.null, array_mt = {}, yield_tag = {}, root = "." }

function host.here()
  for level = 2, math.huge do
    local info = debug.getinfo(level, "Sl")
    if not info then return end
    if info.source:find("spec/rbf/.*_spec%.lua$") then
      return info.short_src, info.currentline, info.short_src
    end
  end
end

function host.check_path(path)
  for token in (path .. "."):gmatch "([^.]*)%." do
    if not token:find "^%$?[%w_-]+$" then return nil, ("path '%s' has a bad token '%s'"):format(path, token) end
  end
  return true
end

function host.check_subject(subject)
  if subject:find "[%s*>]" then return nil, ("subject '%s' has a wildcard or white space"):format(subject) end
  return true
end

function host.encode(v)
  local ok, text = pcall(cjson.encode, v)
  if ok then return text end
  return nil, text
end

-- What makes specs and zones good is tested in C.
function host.check_cron(spec, tz)
  if spec == "bad" then return nil, "cron 'bad' has 1 fields" end
  if not tz:find "^%u" then return nil, ("no time zone '%s'"):format(tz) end
  return true
end

function host.subject(queue, path, params)
  local missing
  local text = path:gsub("%$([%w_]+)", function(name)
    missing = missing or not params[name] and name
    return params[name]
  end)
  if missing then return nil, ("parameter '%s' of path '%s' is missing"):format(missing, path) end
  return queue .. "." .. text
end

function host.decode(text) return cjson.decode("[" .. text .. "]")[1] end

--- The framework, loaded afresh: nothing of another spec's definitions is left.
return function()
  for name in pairs(package.loaded) do
    if name == "rbf" or name:find "^rbf%." then package.loaded[name] = nil end
  end
  package.loaded["rbf.host"] = host
  return require "rbf"
end
