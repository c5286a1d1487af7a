--- Modules from outside the app's folder: C modules, and the Lua files that wrap them. They are
--- trusted code with all the powers of the process, so the app names those that it means:
--- modules = { "openssl.hmac", … }; "openssl" stands for all below it, too.
local host = require "rbf.host"
local errors = require "rbf.errors"
local util = require "rbf.util"

local misuse = errors.misuse
local real_require = require
local _M = {}

local allowed = {} -- set of names
local asked = {} -- { name, where } of what the app's files required while they were loading
local is_loaded = false
local paths, cpaths -- of the system: without what depends on the working directory

local function absolute(templates)
  local result = {}
  for template in templates:gmatch "[^;]+" do
    if template:sub(1, 1) == "/" then result[#result + 1] = template end
  end
  return table.concat(result, ";")
end

--- Adds to the list. Names are what require takes.
function _M.allow(names, what)
  if names == nil then return end
  util.check_type(names, "table", what)
  for k, name in pairs(names) do
    if type(k) ~= "number" or type(name) ~= "string" or not name:find "^[%w_-][%w_.-]*$" then
      misuse('%s must be a list of names such as { "openssl.hmac" }, found %s', what, util.describe(
        type(k) ~= "number" and k or name))
    end
    allowed[name] = true
  end
end

local function is_allowed(name)
  while name do
    if allowed[name] then return true end
    name = name:match "^(.*)%.[^.]*$"
  end
  return false
end

--- Is it installed? "a.b" may also live in the library of "a".
local function installed(name)
  if not name:find "^[%w_-][%w_.-]*$" then return false end
  return package.searchpath(name, paths) or package.searchpath(name, cpaths)
    or package.searchpath(name:match "^[^.]*", cpaths)
end

local function cure(name)
  return ('\'%s\' is not one of the app\'s files, and modules from elsewhere must be listed: '
    .. 'add modules = { "%s" } to rbf.defineBackend%s'):format(name, name,
    util.did_you_mean(name, util.sorted_keys(allowed)))
end

--- Lua files of modules get what their authors expect and handlers never see: io, all of os, ffi.
--- Only pcall and coroutines are the app's, for the host's yields pass through those.
local function new_env(app_env)
  local kept = host.unlocked()
  local env = setmetatable({ io = kept.io, os = kept.os }, { __index = _G })
  env._G = env
  for _, name in ipairs { "pcall", "xpcall", "coroutine" } do env[name] = app_env[name] end
  function env.require(name)
    if name == "ffi" then return kept.ffi() end
    return name == "io" and env.io or name == "os" and env.os or real_require(name)
  end
  return env
end

--- Called once, before the app's files: require finds the system's modules from now on.
function _M.start(app_env)
  local framework, env = package.loaders[2], nil
  paths, cpaths = absolute(host.module_path), absolute(package.cpath)
  package.cpath = cpaths
  package.loaders[2] = function(name)
    if name == "rbf" or name:find "^rbf%." then return framework(name) end
    local path, tried = package.searchpath(name, paths)
    if not path then return tried end
    local chunk, why = host.module_chunk(path)
    if not chunk then error(why, 0) end
    env = env or new_env(app_env)
    host.jit_off(chunk) -- as the app's own code: else no watchdog could stop it
    return setfenv(chunk, env)
  end
end

--- The app requires a name that is not in its folder: true and the module, or false. Until
--- the files are loaded nobody knows the whole list, so it is checked at the end.
function _M.require(name)
  if not installed(name) then
    if is_allowed(name) then
      misuse("module '%s' is not installed for Lua 5.1 (looked for it in %s;%s)", name, paths, cpaths)
    end
    return false
  end
  if not is_allowed(name) then
    if is_loaded then misuse("%s", cure(name)) end
    asked[#asked + 1] = { name = name, where = errors.here() }
  end
  local ok, module = pcall(real_require, name)
  if not ok then misuse("require '%s': %s", name, tostring(module)) end
  return true, module
end

--- The app's files are loaded: what they required must be on the list now.
function _M.loaded()
  for _, one in ipairs(asked) do
    if not is_allowed(one.name) then error(one.where .. cure(one.name), 0) end
  end
  is_loaded = true
end

return _M
