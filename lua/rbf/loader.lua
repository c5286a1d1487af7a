--- Loads the app's files, each once, through the require that they see themselves.
local host = require "rbf.host"
local define = require "rbf.define"
local errors = require "rbf.errors"
local modules = require "rbf.modules"
local sandbox = require "rbf.sandbox"
local util = require "rbf.util"

local misuse = errors.misuse
local real_require = require
local _M = {}

--- Which file requires which: path → set of paths. For `rbf test --watch`.
_M.edges = {}

local loaded, loading = {}, {} -- by path; loading is also the stack of what requires what
local env -- globals of the app's files, set by start()
local files = {} -- set of paths

local public = { rbf = true, ["rbf.z"] = true }
local c_modules = { cjson = true, ["cjson.safe"] = true }
-- Extensions that come with LuaJIT and only work on tables.
local builtin = { ["table.new"] = true, ["table.clear"] = true }
local libraries = {
  string = true, table = true, math = true, os = true, bit = true, coroutine = true,
}
local refused = {
  io = "handlers have no files",
  ffi = "handlers cannot call C",
  debug = "only debug.traceback is there, as a global",
  package = "files are found below the app's folder",
  jit = "handlers are interpreted",
}

--- Its own settings, which the app may change; its functions stay what they are.
local function c_module(name)
  c_modules[name] = c_modules[name] ~= true and c_modules[name] or sandbox.library(name, real_require(name).new())
  return c_modules[name]
end

local function candidates(name)
  local path = name:gsub("%.", "/")
  return { path .. ".lua", path .. "/init.lua", name .. ".lua", name .. "/init.lua" }
end

local function find(name)
  for _, path in ipairs(candidates(name)) do
    if files[path] then return path end
  end
end

local function not_found(name)
  local names = util.sorted_keys(public)
  for path in pairs(files) do
    names[#names + 1] = path:gsub("%.lua$", ""):gsub("/init$", ""):gsub("/", ".")
  end
  table.sort(names)
  misuse("no module '%s' in the app's folder (looked for %s)%s", name,
    table.concat({ unpack(candidates(name), 1, 2) }, ", "), util.did_you_mean(name, names))
end

local function check_cycle(path)
  for i, other in ipairs(loading) do
    if other == path then
      local cycle = { unpack(loading, i) }
      cycle[#cycle + 1] = path
      misuse("files require each other: %s; require one of them inside the handler's function",
        table.concat(cycle, " → "))
    end
  end
end

--- Errors without a place get the file's name. Whatever was raised is text from here on: the host
--- would ask an object for it where nothing protects or watches.
local function raise(path, e)
  if type(e) ~= "string" then
    local mt = getmetatable(e)
    local ok, text = pcall(type(mt) == "table" and mt.__tostring or type, e)
    e = ok and text ~= type(e) and tostring(text) or ("the error is a %s where a string was expected"):format(type(e))
  end
  if not host.placed(e) then e = host.shown(path) .. ": " .. e end
  error(e, 0)
end

local function run(path)
  local chunk, why = host.chunk(path)
  if not chunk then raise(path, why) end
  loading[#loading + 1] = path
  local ok, result = pcall(setfenv(chunk, env), (path:gsub("%.lua$", "")))
  loading[#loading] = nil
  if not ok then raise(path, result) end
  return result
end

--- The names an operation is known by are the keys its file returns it under.
local function name_ops(result)
  if type(result) ~= "table" or define.is_op(result) then return end
  for _, key in ipairs(util.sorted_keys(result)) do
    local v = result[key]
    if define.is_op(v) and not v.name then v.name = key end
  end
end

local function load_file(path)
  if loaded[path] ~= nil then return loaded[path] end
  check_cycle(path)
  local result = run(path)
  if result == nil then result = true end
  loaded[path] = result
  name_ops(result)
  return result
end

--- require as the app sees it.
function _M.require(name)
  util.check_type(name, "string", "require's argument")
  if public[name] or builtin[name] then return real_require(name) end
  if c_modules[name] then return c_module(name) end
  local path = find(name)
  if path then
    local by = loading[#loading]
    if by then
      _M.edges[by] = _M.edges[by] or {}
      _M.edges[by][path] = true
    end
    return load_file(path)
  end
  if libraries[name] then return env[name] end
  if refused[name] then misuse("no module '%s': %s", name, refused[name]) end
  if name:find "^rbf%." then misuse("'%s' is private to the framework; require \"rbf\"", name) end
  local there, module = modules.require(name)
  if there then return module end
  not_found(name)
end

--- Loads all files in order; gives what main.lua returned.
function _M.load(app_env)
  env = app_env
  modules.start(env)
  local list = host.files()
  for _, path in ipairs(list) do files[path] = true end
  for _, path in ipairs(list) do load_file(path) end
  return loaded["main.lua"]
end

return _M
