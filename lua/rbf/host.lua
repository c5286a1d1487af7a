--- What C gives to lua/rbf, as far as it can be had without the host (where this file is never read):
--- for specs of schemas and middleware under plain busted. See docs/testing.md.
local cjson = require "cjson"

local host = { plain = true, null = cjson.null, array_mt = { __name = "rbf.array" }, yield_tag = {} }

-- ---------------------------------------------------------------- whose files

--- The folder around spec/, of the spec file that is loading; else the spec's own.
local function app_root()
  for level = 2, math.huge do
    local info = debug.getinfo(level, "S")
    if not info then return "." end
    local path = info.source:match "^@(.*_spec%.lua)$"
    if path then
      local root = path:match "^(.*)/spec/" or path:match "^spec/" and "." or path:match "^(.*)/[^/]*$" or "."
      return (root:gsub("^%./(.)", "%1"))
    end
  end
end

host.root = app_root()
host.module_path = package.path

local function exists(path)
  local f = io.open(path)
  if f then f:close() end
  return f ~= nil
end

local function full(path) return host.root == "." and path or host.root .. "/" .. path end

local function walk(found, below)
  local lfs = require "lfs"
  for name in lfs.dir(full(below == "" and "." or below)) do
    local path = below == "" and name or below .. "/" .. name
    local mode = not name:find "^%." and lfs.attributes(full(path), "mode")
    if mode == "directory" and name ~= "spec" and name ~= "migrations" then walk(found, path) end
    if mode == "file" and name:find "%.lua$" and not name:find "_spec%.lua$" then found[#found + 1] = path end
  end
  return found
end

function host.files()
  local found = walk({}, "")
  table.sort(found)
  return found
end

function host.chunk(path) return loadfile(full(path)) end

function host.shown(path) return full(path) end

function host.placed(text) return text:find "^[^\n:]+:%d+: " ~= nil end

--- The innermost line of the app's or of a spec.
function host.here()
  for level = 2, math.huge do
    local info = debug.getinfo(level, "Sl")
    if not info then return end
    local path = info.source:match "^@(.*)$"
    if path and (path:find "_spec%.lua$" or path:sub(1, #host.root + 1) == host.root .. "/")
      and not path:find("/rbf/", 1, true) then
      return path, info.currentline, path
    end
  end
end

-- ---------------------------------------------------------------- JSON

local encode

local function encode_list(v, n)
  local parts = {}
  for i = 1, n do parts[i] = v[i] == nil and "null" or encode(v[i]) end
  return "[" .. table.concat(parts, ",") .. "]"
end

local function encode_object(v)
  local keys, parts = {}, {}
  for k in pairs(v) do
    if type(k) ~= "string" then error("keys are text or 1 to n, found " .. tostring(k), 0) end
    keys[#keys + 1] = k
  end
  table.sort(keys)
  for i, k in ipairs(keys) do parts[i] = cjson.encode(k) .. ":" .. encode(v[k]) end
  return "{" .. table.concat(parts, ",") .. "}"
end

function encode(v)
  if type(v) == "table" then
    if getmetatable(v) == host.array_mt or #v > 0 then return encode_list(v, #v) end
    return encode_object(v)
  elseif type(v) == "number" and v % 1 == 0 and math.abs(v) <= 2 ^ 53 then
    return ("%d"):format(v) -- cjson: 1e+15
  end
  return cjson.encode(v)
end

function host.encode(v)
  if v == nil then return "null" end
  local ok, text = pcall(encode, v)
  if ok then return text end
  return nil, text
end

function host.decode(text)
  local ok, list = pcall(cjson.decode, "[" .. text .. "]")
  if ok then return list[1] end
  return nil, list
end

-- ---------------------------------------------------------------- paths, time, ids

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

--- The host finds faults of specs and zones as it loads the app.
function host.check_cron() return true end

function host.subject(queue, path, params)
  local missing
  local text = path:gsub("%$([%w_]+)", function(name)
    missing = missing or not params[name] and name
    return params[name]
  end)
  if missing then return nil, ("parameter '%s' of path '%s' is missing"):format(missing, path) end
  return queue .. "." .. text
end

function host.now() return os.time() * 1000 end
function host.seed() return os.time() end

function host.uuid()
  local ms, hex = host.now(), {}
  for i = 1, 19 do hex[i] = ("%x"):format(math.random(0, 15)) end
  local random = table.concat(hex)
  return ("%08x-%04x-7%s-%x%s-%s"):format(math.floor(ms / 65536), ms % 65536, random:sub(1, 3), math.random(8, 11),
    random:sub(4, 6), random:sub(7, 18))
end

-- ---------------------------------------------------------------- what files load with

local token = {}
function host.main() return token end
function host.in_main() return false end
function host.is_yieldable() return false end
function host.jit_off() end
function host.jit_on() end
function host.log() end
function host.module_chunk(path) return loadfile(path) end
function host.unlocked() return { io = io, os = os, ffi = function() return require "ffi" end } end

--- Of the rest this file has nothing.
setmetatable(host, {
  __index = function(_, name)
    return function()
      require("rbf.errors").misuse("there is no host here to answer (%s): run this spec by `rbf test`", name)
    end
  end,
})

-- ---------------------------------------------------------------- require "users", in specs

local loaded = false

--- All files of the app, once, as the host would; what that does to package is undone.
function host.load_app()
  if loaded then return end
  loaded = true
  local loader, cpath = package.loaders[2], package.cpath
  local ok, why = pcall(require("rbf.boot").load)
  package.loaders[2], package.cpath = loader, cpath
  if not ok then error(why, 0) end
end

local function app_searcher(name)
  local path = name:gsub("%.", "/")
  if name == "rbf" or name:find "^rbf%." or path:find "^spec/" then return end
  if not exists(full(path .. ".lua")) and not exists(full(path .. "/init.lua")) then return end
  host.load_app()
  return function() return require("rbf.loader").require(name) end
end

--- Busted forgets all modules after each file, but not what was done to package.
-- luacheck: ignore 142 143
if ... == "rbf.host" then
  local search = package.rbf_search or {}
  search.app = app_searcher
  if not package.rbf_search then
    package.rbf_search = search
    table.insert(package.loaders, 2, function(name) return search.app(name) end)
    local own = debug.getinfo(1, "S").source:match "^@(.*)/rbf/host%.lua$" or "."
    for _, folder in ipairs { own, host.root } do
      package.path = ("%s;%s/?.lua;%s/?/init.lua"):format(package.path, folder, folder)
    end
  end
end

return host
