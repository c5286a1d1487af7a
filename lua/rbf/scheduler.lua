--- r.scheduler: follow-ups that happen if, and only if, the transaction commits.
local host = require "rbf.host"
local define = require "rbf.define"
local errors = require "rbf.errors"
local registry = require "rbf.registry"
local util = require "rbf.util"

local misuse = errors.misuse
local _M = {}

local methods = {}
local scheduler = util.readonly(methods, "scheduler")
_M.scheduler = scheduler

local function check_self(self, verb)
  if self ~= scheduler then misuse("use scheduler:%s(…), with a colon", verb) end
end

local function checked(value, why)
  if not value then misuse("%s", why) end
  return value
end

local function checked_or_false(value, why)
  if value == nil then misuse("%s", why) end
  return value, why
end

--- "events.email.send" → the queue's subject and the path behind it.
local function split(text, verb)
  local name, path = text:match "^([%w_-]+)%.(.+)$"
  if not name then
    misuse('scheduler:%s: expected "queue.path", found %q', verb, text)
  end
  checked(host.check_path(path))
  local queue = registry.queues[name]
  return queue and queue.subject or name, path
end

--- The params a path takes, as strings.
local function texts(path, params, what)
  local known, result = {}, {}
  for name in path:gmatch "%$([%w_]+)" do known[name] = true end
  if params == nil then return result end
  util.check_type(params, "table", what .. ": params")
  if next(params) ~= nil and next(known) == nil then
    misuse("%s: path '%s' has no parameters", what, path)
  end
  util.check_keys(params, known, "params of " .. path)
  for name, v in pairs(params) do
    if type(v) ~= "string" and not (type(v) == "number" and v % 1 == 0) then
      misuse("%s: param '%s' must be a string, found %s", what, name, util.describe(v))
    end
    result[name] = type(v) == "number" and ("%d"):format(v) or v
  end
  return result
end
_M.texts = texts

local function subject_of(op, params, verb)
  local queue_subject, path
  if define.is_op(op) then
    if op.type == "query" then
      misuse("scheduler:%s: %s is a query; queries only answer, enqueue a mutation", verb, op.path)
    end
    queue_subject, path = registry.queues[op.queue].subject, op.path
  elseif type(op) == "string" then
    queue_subject, path = split(op, verb)
  else
    misuse('scheduler:%s: expected an operation or "queue.path", found %s (is it in what its file '
      .. "returns?)", verb, util.describe(op))
  end
  return checked(host.subject(queue_subject, path, texts(path, params, "scheduler:" .. verb)))
end

local option_keys = { input = true, params = true, headers = true, id = true }

local function request(verb, op, options, target)
  options = options == nil and {} or options
  util.check_type(options, "table", ("scheduler:%s's options"):format(verb))
  util.check_keys(options, option_keys, "scheduler:" .. verb)
  if options.headers ~= nil then
    util.check_type(options.headers, "table", ("scheduler:%s: headers"):format(verb))
  end
  if options.id ~= nil then
    util.check_type(options.id, "string", ("scheduler:%s: id"):format(verb))
  end
  local id, why = host.request(subject_of(op, options.params, verb), options.input,
    options.headers, options.id, target)
  if not id then misuse("scheduler:%s: %s", verb, why) end
  return id
end

--- Runs op after the commit. Gives the job's id.
function methods:enqueue(op, options)
  check_self(self, "enqueue")
  return request("enqueue", op, options, nil)
end

--- Runs op at a time (ms since the epoch, see rbf.now()).
function methods:runAt(time, op, options)
  check_self(self, "runAt")
  if type(time) ~= "number" or time ~= time or time < 0 or time > 9007199254740992 then
    misuse("scheduler:runAt: the time must be ms since the epoch (rbf.now() + …), found %s",
      util.describe(time))
  end
  return request("runAt", op, options, math.floor(time))
end

--- Runs op after a while: { seconds = 30 }.
function methods:runAfter(delay, op, options)
  check_self(self, "runAfter")
  local ms = util.duration(delay, "scheduler:runAfter's delay")
  return request("runAfter", op, options, host.now() + ms)
end

-- A row whose time has come belongs to the sweeper, which may hold its lock. One that is not due is
-- nobody's, and once this transaction has deleted it no sweeper will find it.
local cancel_row = "WITH gone AS (DELETE FROM rbf_outbox WHERE namespace = $1 AND id IN ($2, $3) AND type = "
  .. "'request' AND target_at > (EXTRACT(EPOCH FROM clock_timestamp()) * 1000)::bigint RETURNING 1) "
  .. "SELECT EXISTS (SELECT FROM gone) AS gone, EXISTS (SELECT FROM rbf_outbox WHERE namespace = $1 "
  .. "AND id IN ($2, $3) AND type = 'request') AS there"

local function is_uuid(text)
  return text:find("^%x%x%x%x%x%x%x%x%-%x%x%x%x%-%x%x%x%x%-%x%x%x%x%-%x%x%x%x%x%x%x%x%x%x%x%x$") ~= nil
end

--- Cancels a job that waits for its time, by its job id or by the `id` it was given: true, and it
--- will never run if this transaction commits; false when it is due, under way, done or unknown.
function methods:cancel(id)
  check_self(self, "cancel")
  util.check_type(id, "string", "scheduler:cancel's argument")
  local named = host.id_of(id)
  local row = is_uuid(id) and id:lower() or named
  local own, is_named = checked_or_false(host.cancel(row))
  if not own then own, is_named = checked_or_false(host.cancel(named)) end
  -- under an id of its own it may have been pending already: then it is that one which would run
  if own and not is_named then return true end
  local gone, there = _M.delete_rows(row, named)
  return gone or own and not there
end

--- Deletes a row that is not due, by either id: was there one, and is there one that stays? (`rbf
--- test` has its own.)
function _M.delete_rows(row, named)
  local _, namespace = host.ask "namespace"
  local ok, message, sqlstate = host.sql(cancel_row, namespace, row, named)
  if ok == nil then
    misuse("scheduler:cancel cannot wait inside a callback of table.sort, string.gsub or other C code")
  elseif not ok then
    error(errors.sql(message, sqlstate), 0)
  end
  local found = host.row()
  return found.gone, found.there
end

local Raw = { __name = "rbf.raw" }

--- Bytes that publish sends as they are.
function _M.raw(bytes)
  return setmetatable({ bytes = util.check_type(bytes, "string", "rbf.raw's argument") }, Raw)
end

--- Publishes a message that is no request: JSON, or rbf.raw's bytes. stream = true waits until a
--- stream has stored it.
function methods:publish(subject, payload, options)
  check_self(self, "publish")
  util.check_type(subject, "string", "scheduler:publish's subject")
  options = options == nil and {} or util.check_type(options, "table", "scheduler:publish's options")
  util.check_keys(options, { headers = true, stream = true }, "scheduler:publish")
  if options.headers ~= nil then
    util.check_type(options.headers, "table", "scheduler:publish: headers")
  end
  local raw = type(payload) == "table" and getmetatable(payload) == Raw and payload.bytes or nil
  local ok, why = host.message(subject, payload, raw, options.headers, options.stream)
  if not ok then misuse("scheduler:publish: %s", why) end
end

--- If this run fails, the next attempt comes after this time instead of the policy's.
function methods:setRetryDelay(delay)
  check_self(self, "setRetryDelay")
  checked(host.retry_delay(util.duration(delay, "scheduler:setRetryDelay's argument")))
end

return _M
