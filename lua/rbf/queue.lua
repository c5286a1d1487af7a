--- Queues: their options, checked.
local host = require "rbf.host"
local errors = require "rbf.errors"
local hooks = require "rbf.hooks"
local retry = require "rbf.retry"
local util = require "rbf.util"

local _M = {}

local keys = {
  middleware = true, subject = true, stream = true, consumer = true, ackWait = true,
  timeout = true, concurrency = true, replicas = true, group = true,
  retry = true,
}

local function check_name(name, what)
  if type(name) ~= "string" or not name:find "^[%w_-]+$" then
    errors.misuse("%s must be of letters, digits, '_' and '-', found %s", what, util.describe(name))
  end
  return name
end

--- Subjects that are the hosts' own: rpc.… of the request-reply gateway; _RBF, _INBOX and their like.
local function check_free(subject, what)
  if subject:match "^[^.]*" == "rpc" then
    errors.misuse("%s must not begin with 'rpc', which the request-reply gateway uses; name it otherwise", what)
  end
  if subject:find "^_" then
    errors.misuse("%s must not begin with '_': such subjects are the hosts' and the clients' own; found %s", what,
      util.describe(subject))
  end
  return subject
end

local function check_count(n, least, what)
  if type(n) ~= "number" or n % 1 ~= 0 or n < least then
    errors.misuse("%s must be a whole number from %d on, found %s", what, least, util.describe(n))
  end
  return n
end

--- How many waiting mutations of one operation a transaction may take; 1: each has its own.
function _M.check_group(n, what)
  check_count(n, 1, what)
  if n > 1000 then errors.misuse("%s must be at most 1000, found %d", what, n) end
  return n
end

--- Reads options into queue; keys that are absent leave it as it is.
function _M.apply(queue, options)
  local what = ("queue '%s'"):format(queue.name)
  util.check_type(options, "table", what)
  util.check_keys(options, keys, what)
  if options.middleware ~= nil then
    queue.middleware = hooks.part(options.middleware, what .. ": middleware")
  end
  if options.retry ~= nil then queue.retry = retry.read(options.retry, what .. ": retry") end
  if options.subject ~= nil then
    local ok, why = host.check_subject(util.check_type(options.subject, "string", what .. ": subject"))
    if not ok then errors.misuse("%s: %s", what, why) end
    queue.subject = check_free(options.subject, what .. ": subject")
  end
  for _, key in ipairs { "stream", "consumer" } do
    if options[key] ~= nil then queue[key] = check_name(options[key], what .. ": " .. key) end
  end
  for _, key in ipairs { "ackWait", "timeout" } do
    if options[key] ~= nil then queue[key] = util.timeout(options[key], what .. ": " .. key) end
  end
  if options.concurrency ~= nil then
    queue.concurrency = check_count(options.concurrency, 1, what .. ": concurrency")
  end
  if options.group ~= nil then queue.group = _M.check_group(options.group, what .. ": group") end
  if options.replicas ~= nil then
    queue.replicas = check_count(options.replicas, 1, what .. ": replicas")
  end
  return queue
end

function _M.new(name, options)
  return _M.apply({
    name = check_free(check_name(name, "a queue's name"), "a queue's name"),
    subject = name,
    ackWait = 30000,
    timeout = 25000,
    concurrency = 0,
    replicas = 1,
    group = 64,
  }, options)
end

return _M
