--- The globals that the app's files see: no way to files, processes, C or bytecode, no writing of
--- globals, and pcall and coroutines through which the host's own yields and errors pass.
local host = require "rbf.host"
local errors = require "rbf.errors"
local log = require "rbf.log"
local util = require "rbf.util"

local misuse, is_control, explain = errors.misuse, errors.is_control, errors.explain
local raw_pcall, raw_xpcall, raw_load = pcall, xpcall, load
local create, raw_resume, raw_yield = coroutine.create, coroutine.resume, coroutine.yield
local tag, is_yieldable = host.yield_tag, host.is_yieldable

local _M = {}

--- rbf.fail and rbf.retry end the handler: nothing in between may stop them.
local function checked(ok, e, ...)
  if ok then return true, e, ... end
  if is_control(e) then error(e, 0) end
  return false, explain(e)
end

local function safe_pcall(f, ...)
  return checked(raw_pcall(f, ...))
end

local function safe_xpcall(f, handler, ...)
  return checked(raw_xpcall(f, function(e)
    if is_control(e) then return e end
    return handler(explain(e))
  end, ...))
end

--- A database call inside a user's coroutine yields to whoever resumed it: here. It is handed on
--- to the host, and the answer back. (In a callback of C code nobody can wait: nil says so.)
local waiting = setmetatable({}, { __mode = "k" }) -- coroutines that wait for the host

local function answered(co, ...)
  waiting[co] = nil
  return raw_resume(co, ...)
end

local function forward(co, ok, first, ...)
  if ok and first == tag then
    if not is_yieldable() then return forward(co, raw_resume(co, nil)) end
    waiting[co] = true
    return forward(co, answered(co, raw_yield(tag, ...)))
  end
  return checked(ok, first, ...)
end

local function resume(co, ...)
  if waiting[co] then
    misuse("this coroutine waits for the database in another request: make one in each request")
  end
  return forward(co, raw_resume(co, ...))
end

--- The coroutine of a handler is the host's, and nobody else's to resume.
local function running()
  if host.in_main() then return nil end
  return (coroutine.running())
end

local function unwrap(ok, ...)
  if not ok then error((...), 0) end
  return ...
end

local function wrap(f)
  local co = create(f)
  return function(...) return unwrap(resume(co, ...)) end
end

local function yield(...)
  if host.in_main() then
    misuse("coroutine.yield outside of a coroutine of your own: only the host may wait here")
  end
  return raw_yield(...)
end

local function print_to_log(...)
  local parts = {}
  for i = 1, select("#", ...) do parts[i] = tostring((select(i, ...))) end
  log:info(table.concat(parts, "\t"))
end

-- Names that libraries ask for before they do without them: nil, not an error.
local absent = {
  "io", "package", "module", "dofile", "loadfile", "setfenv", "getfenv", "newproxy", "utf8",
  "bit32", "ffi", "arg", "ngx", "collectgarbage", "gcinfo", "warn",
}

--- Text only: bytecode could do anything. What is loaded sees the same globals.
local function loaders(env)
  local function safe_load(chunk, name, _, chunk_env)
    local f, why = raw_load(chunk, name, "t", chunk_env or env)
    if f then host.jit_off(f) end
    return f, why
  end
  return safe_load, function(text, name)
    return safe_load(util.check_type(text, "string", "loadstring's argument"), name)
  end
end

-- Requests share the framework: no handler may change it for the next one. Metatables are out of
-- sight unless the app set them itself (or they mark a list).
local own = setmetatable({}, { __mode = "k" })

local function is_ours(t)
  local mt = type(t) == "table" and getmetatable(t)
  return mt and not own[mt] and mt ~= host.array_mt
end

local function safe_getmetatable(v)
  local mt = getmetatable(v)
  if mt == nil or own[mt] then return mt end
  if errors.is_error(v) then return errors.public end
  return "the framework's"
end

local function safe_setmetatable(t, mt)
  if is_ours(t) then misuse "this table is the framework's: its metatable stays" end
  if type(mt) == "table" then own[mt] = true end
  return setmetatable(t, mt)
end

local function safe_rawset(t, k, v)
  if is_ours(t) then misuse "this table is the framework's: make one of your own" end
  return rawset(t, k, v)
end

local function copy(t)
  local result = {}
  for k, v in pairs(t) do result[k] = v end
  return result
end

--- A library as the app's files share it.
local function library(name, functions)
  return setmetatable({}, {
    __index = functions,
    __newindex = function(_, k)
      misuse("%s.%s cannot be set: all requests share it; write 'local %s'", name, tostring(k), tostring(k))
    end,
  })
end
_M.library = library

local function globals()
  local g = {}
  for _, name in ipairs {
    "assert", "error", "ipairs", "next", "pairs", "rawequal", "rawget", "select", "tonumber",
    "tostring", "type", "unpack", "_VERSION",
  } do
    g[name] = _G[name]
  end
  g.getmetatable, g.setmetatable, g.rawset = safe_getmetatable, safe_setmetatable, safe_rawset
  for _, name in ipairs { "string", "table", "math", "bit" } do
    g[name] = library(name, copy(require(name)))
  end
  g.os = library("os", { time = os.time, date = os.date, clock = os.clock, difftime = os.difftime })
  g.debug = library("debug", { traceback = debug.traceback })
  g.jit = library("jit", { version = jit.version, version_num = jit.version_num, os = jit.os, arch = jit.arch })
  g.pcall, g.xpcall, g.print = safe_pcall, safe_xpcall, print_to_log
  local coroutines = copy(coroutine)
  coroutines.resume, coroutines.wrap, coroutines.yield = resume, wrap, yield
  coroutines.running = running
  g.coroutine = library("coroutine", coroutines)
  return g
end

--- A new set of globals for an app; `require` is what its files get under that name.
function _M.new(require_app)
  local g, env = globals(), {}
  g.load, g.loadstring = loaders(env)
  g.require = require_app
  g._G = env
  local known = {}
  for _, name in ipairs(absent) do known[name] = true end
  setmetatable(g, {
    __index = function(_, name)
      if known[name] then return nil end
      misuse("undefined global '%s'%s", tostring(name),
        util.did_you_mean(name, util.sorted_keys(g)))
    end,
  })
  return setmetatable(env, {
    __index = g,
    __newindex = function(_, name)
      misuse("global '%s' is not allowed; write 'local %s'", tostring(name), tostring(name))
    end,
    __metatable = "globals",
  })
end

return _M
