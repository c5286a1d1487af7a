--- Retry policies, of queues and of operations: { maxAttempts = 5, backoff = "exponential",
--- initial = { ms = 100 }, max = { minutes = 5 }, jitter = 0.5 }; backoff may also be "fixed" or a
--- list of durations, whose last one repeats.
local errors = require "rbf.errors"
local util = require "rbf.util"

local misuse = errors.misuse
local _M = {}

local keys = { maxAttempts = true, backoff = true, initial = true, max = true, jitter = true }
local longest = 30 * 24 * 3600 * 1000

local function wait(v, what)
  local ms = util.duration(v, what)
  if ms > longest then misuse("%s must be 30 days at most, found %d ms", what, ms) end
  return ms
end

local function waits(list, what)
  if #list == 0 then misuse("%s is an empty list: name at least one duration", what) end
  local result = {}
  for i, v in ipairs(list) do result[i] = wait(v, ("%s[%d]"):format(what, i)) end
  return result
end

local function read_backoff(policy, v, what)
  if type(v) == "table" and (#v > 0 or next(v) == nil) then
    policy.backoff, policy.list = "list", waits(v, what)
  elseif v == "exponential" or v == "fixed" then
    policy.backoff = v
  else
    misuse('%s must be "exponential", "fixed" or a list of durations such as { { seconds = 1 }, '
      .. "{ minutes = 1 } }, found %s%s", what, util.describe(v),
      type(v) == "string" and util.did_you_mean(v, { "exponential", "fixed" }) or "")
  end
end

--- The policy that t declares: keys that are absent are the queue's, or the host's settings.
function _M.read(t, what)
  util.check_type(t, "table", what)
  util.check_keys(t, keys, what)
  local policy, n, jitter = {}, t.maxAttempts, t.jitter
  if n ~= nil and (type(n) ~= "number" or n % 1 ~= 0 or n < 1 or n > 100000) then
    misuse("%s: maxAttempts must be a whole number from 1 to 100000, found %s", what, util.describe(n))
  end
  if jitter ~= nil and (type(jitter) ~= "number" or not (jitter >= 0 and jitter <= 1)) then
    misuse("%s: jitter is the share of a wait that is drawn at random, from 0 to 1, found %s", what,
      util.describe(jitter))
  end
  policy.maxAttempts, policy.jitter = n, jitter
  if t.backoff ~= nil then read_backoff(policy, t.backoff, what .. ": backoff") end
  if t.initial ~= nil then policy.initial = wait(t.initial, what .. ": initial") end
  if t.max ~= nil then policy.max = wait(t.max, what .. ": max") end
  if policy.initial and policy.max and policy.initial > policy.max then
    misuse("%s: initial (%d ms) is longer than max (%d ms)", what, policy.initial, policy.max)
  end
  return policy
end

--- An operation's policy over its queue's; nil when neither has one.
function _M.merge(queue_policy, op_policy)
  if not (queue_policy and op_policy) then return op_policy or queue_policy end
  local result = {}
  for k, v in pairs(queue_policy) do result[k] = v end
  for k, v in pairs(op_policy) do result[k] = v end
  return result
end

return _M
