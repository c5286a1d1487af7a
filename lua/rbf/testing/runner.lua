--- `rbf test`: busted inside the host. Specs are plain Lua programs in the app's own state: they see
--- the app's files (require "users"), everything of Lua, and rbf.testing.
local host = require "rbf.host"
local coverage = require "rbf.testing.coverage"
local loader = require "rbf.loader"
local sandbox = require "rbf.sandbox"
local watch = require "rbf.testing.watch"

local real_require, load, pcall = require, load, pcall

-- ---------------------------------------------------------------- require, as specs see it

local library = {} -- chunk names of what came from the system's folders
local app_files = {} -- set of paths

local function is_ours(name) return name == "rbf" or name:find "^rbf%." end

local function app_file(name)
  local path = name:gsub("%.", "/")
  for _, file in ipairs { path .. ".lua", path .. "/init.lua" } do
    if app_files[file] then return file end
  end
end

local function read(path)
  local f, why = io.open(path, "rb")
  if not f then return nil, why end
  local text = f:read "*a"
  f:close()
  return (text:gsub("^#[^\n]*", "", 1))
end

local function run_file(name, path, is_library)
  local text, why = read(path)
  local chunk
  if text then chunk, why = load(text, "@" .. path) end
  if not chunk then error(why, 0) end
  library["@" .. path] = is_library or nil
  local result = chunk(name)
  if result == nil then result = package.loaded[name] end
  if result == nil then result = true end
  package.loaded[name] = result
  return result
end

--- Who asked? Busted and its libraries mean the system's modules, whatever the app's files are called.
local function asked_by_library()
  local info = debug.getinfo(3, "S")
  return info and library[info.source]
end

local function new_require(root)
  local own = ("%s/?.lua;%s/?/init.lua;./?.lua;./?/init.lua"):format(root, root)
  return function(name)
    if type(name) ~= "string" then error("require: expected a module's name", 2) end
    local by_library = asked_by_library()
    if is_ours(name) then return real_require(name) end
    local mine = not by_library and app_file(name)
    if mine then
      watch.uses(mine)
      return loader.require(name)
    end
    if package.loaded[name] ~= nil then return package.loaded[name] end
    if package.preload[name] then
      package.loaded[name] = package.preload[name](name) or true
      return package.loaded[name]
    end
    local path = not by_library and package.searchpath(name, own)
    if path then
      watch.uses_outside(path)
      return run_file(name, path, false)
    end
    path = package.searchpath(name, host.module_path)
    if path then return run_file(name, path, true) end
    local ok, module = pcall(real_require, name) -- modules in C
    if ok then return module end
    error(("module '%s' is neither one of the app's files nor a file below %s or here, nor installed")
      :format(name, root), 2)
  end
end

-- ---------------------------------------------------------------- what users see of errors

local framework = debug.getinfo(1, "S").source:match "^@(.*/rbf/)testing/"

local function is_framework(line) return line:find(framework, 1, true) end

--- The trace without our own frames; its place is the first that is not ours.
local function clean(info)
  local kept, short, number = {}, nil, nil
  for line in (info.traceback or ""):gmatch "[^\n]+" do
    if not is_framework(line) and not line:find("rbf-test:", 1, true) then
      kept[#kept + 1] = line
      if not short then short, number = line:match "^%s*([^:]+):(%d+):" end
    end
  end
  info.traceback = table.concat(kept, "\n")
  if is_framework("/" .. (info.source or "")) and short then
    info.short_src, info.currentline = short, tonumber(number)
  end
  return info
end

-- ---------------------------------------------------------------- busted

--- Each file, describe and it is a level: what it does to the database and to the clock ends with it.
local function wrap_executor(core, session, executor, is_test)
  local block
  return function(element)
    if is_test then -- what setup does belongs to the level of its describe
      block = block or require "busted.block" (core)
      if not block.lazySetup(core.context.parent(element)) then return end
    end
    if element.descriptor == "file" then watch.begin(element.name) end
    session.enter(element.name)
    coverage.look()
    local ok, why = pcall(executor, element)
    session.leave()
    if not ok then error(why, 0) end
  end
end

local levels = { file = true, describe = true, it = true }

local function adapt(core, session)
  local register, get_trace = core.register, core.getTrace
  function core.register(descriptor, executor, ...)
    if levels[descriptor] and type(executor) == "function" then
      executor = wrap_executor(core, session, executor, descriptor == "it")
    end
    return register(descriptor, executor, ...)
  end
  function core.getTrace(element, level, message)
    local info = clean(get_trace(element, (level or 3) + 1, message))
    return info
  end
  return core
end

local function prepare(root)
  package.preload.ffi = host.unlocked().ffi
  for _, path in ipairs(host.files()) do app_files[path] = true end
  _G.require = new_require(root)
  local safe = sandbox.new(_G.require).coroutine -- the host's waits pass through a spec's coroutines
  for _, name in ipairs { "resume", "wrap" } do coroutine[name] = safe[name] end -- luacheck: ignore
  package.loaded.io, package.loaded.os, package.loaded.debug = io, os, debug
end

--- Is this flag among the arguments? Busted does not see it.
local function take(args, flag)
  for i, word in ipairs(args) do
    if word == flag then return table.remove(args, i) end
  end
end

local missing = "rbf test runs specs with busted, which is not installed: apt-get install lua-busted"

--- args: busted's own. Ends with its exit code.
return function(_, _, args)
  prepare(host.root)
  local found, core = pcall(require, "busted.core")
  if not found then
    if not package.searchpath("busted.core", host.module_path) then error(missing, 0) end
    error(core, 0)
  end
  require "busted.init"
  local session = real_require "rbf.testing.session"
  real_require "rbf.testing"
  package.loaded["busted.core"] = function() return adapt(core(), session) end
  if take(args, "--coverage") then coverage.start() end
  local ended = {}
  os.exit = function(code) error(setmetatable({ code = code }, ended), 0) end -- luacheck: ignore
  arg = { [0] = "rbf test", unpack(watch.chosen(args) or args) } -- luacheck: ignore
  local run = assert(load("local run = require 'busted.runner'; return (run({ standalone = false }))", "=rbf-test"))
  local ok, e = pcall(run)
  session.close()
  watch.finish()
  coverage.report()
  if not ok and getmetatable(e) ~= ended then error(e, 0) end
  local code = not ok and e.code or 0
  if code == true then code = 0 elseif code == false then code = 1 end
  host.finish(code > 0 and 1 or 0)
end
