--- The framework as apps see it: require "rbf".
local host = require "rbf.host"
local client = require "rbf.client"
local define = require "rbf.define"
local errors = require "rbf.errors"
local http = require "rbf.http"
local log = require "rbf.log"
local scheduler = require "rbf.scheduler"
local util = require "rbf.util"
local where = require "rbf.where"

local rbf = {
  defineBackend = define.defineBackend,
  createBackend = define.createBackend,
  backend = client.backend,
  z = require "rbf.z",
  fail = errors.fail,
  retry = errors.retry,
  Error = errors.public,
  raw = scheduler.raw,
  http = http,
  log = log,
  null = host.null,
  op = where.op,
  all = where.all,
  json = {},
}

--- Marks a table as a list, so that an empty one is [] and not {}.
function rbf.array(t)
  t = t == nil and {} or util.check_type(t, "table", "rbf.array's argument")
  return setmetatable(t, host.array_mt)
end

--- A new UUID (version 7: ordered by time, which indexes like).
function rbf.uuid() return host.uuid() end

--- The time as the database counts it: ms since the epoch.
function rbf.now() return host.now() end

--- Waits, inside a handler: rbf.sleep { ms = 200 }. The transaction stays open meanwhile.
function rbf.sleep(duration)
  if not host.ask("sleep", util.duration(duration, "rbf.sleep's argument")) then
    errors.misuse("rbf.sleep works inside a handler only, and not in a callback of C code")
  end
end

--- JSON text of a value; raises when it cannot be said in JSON.
function rbf.json.encode(v)
  local text, why = host.encode(v, "value")
  if not text then errors.misuse("rbf.json.encode: %s", why) end
  return text
end

--- The value of JSON text: null is rbf.null, lists are marked as rbf.array does.
function rbf.json.decode(text)
  util.check_type(text, "string", "rbf.json.decode's argument")
  local v, why = host.decode(text)
  if v == nil then errors.misuse("rbf.json.decode: %s", why) end
  return v
end

rbf.json = util.readonly(rbf.json, "rbf.json")
return util.readonly(rbf, "rbf")
