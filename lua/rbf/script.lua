--- A script of `rbf exec`: what it sees besides what the app's files do, and what its end means.
--- The host has opened io and the whole of os by now.
local client = require "rbf.client"
local errors = require "rbf.errors"
local host = require "rbf.host"
local loader = require "rbf.loader"
local sandbox = require "rbf.sandbox"
local util = require "rbf.util"

-- What only handlers have, and scripts ask for.
local handlers_only = { r = true, db = true, scheduler = true, ctx = true }

local function environment(path, args)
  local env = sandbox.new(loader.require)
  local arg = { [0] = path }
  for i, word in ipairs(args) do arg[i] = word end
  for name, value in pairs { io = io, os = os, print = print, arg = arg } do
    rawset(env, name, value)
  end
  local mt = debug.getmetatable(env)
  local globals = mt.__index
  mt.__index = function(_, name)
    if handlers_only[name] then
      errors.misuse("undefined global '%s': scripts are clients; put SQL and scheduling into a handler, and "
        .. "call it by rbf.backend.mutations.NAME { … }", name)
    end
    return globals[name]
  end
  return env
end

local function exit_code(v)
  if v == nil or v == true then return 0 end
  if v == false then return 1 end
  if type(v) == "number" and v % 1 == 0 and v >= 0 and v <= 255 then return v end
  error("a script returns nothing or its exit code, 0 to 255; found " .. util.describe(v), 0)
end

--- text of the script at path; args: its arguments.
return function(text, path, args)
  local chunk, why = load(text:gsub("^#[^\n]*", "", 1), "@" .. path, "t", environment(path, args))
  if not chunk then error(why, 0) end
  local code = exit_code(chunk(unpack(args)))
  why = client.finish()
  if why then error(why, 0) end
  host.finish(code)
end
