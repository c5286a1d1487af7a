--- What mutations have scheduled: kept in memory, run by t:drain, seen by assert.scheduled.
---
--- An entry: { op, path, input, params, headers, id (its row's), requestId, at (ms; when it is due),
--- after (ms from its scheduling to that; 0: at once), attempt }. Entries do not change.
local host = require "rbf.host"
local clock = require "rbf.testing.clock"
local registry = require "rbf.registry"
local scheduler = require "rbf.scheduler"
local session = require "rbf.testing.session"

local _M = {}

local MAX_RUNS = 2000

local function bytes(hex)
  return (hex:gsub("%x%x", function(two) return string.char(tonumber(two, 16)) end))
end

local function entry(e)
  local state = session.state
  state.counter = state.counter + 1
  local op = e.op and registry.ops[e.op]
  local at = e.at > 0 and e.at or clock.now
  local input = e.data and host.decode(e.data)
  if input == host.null then input = nil end
  return {
    op = op, path = op and op.queue .. "." .. op.path or nil, subject = e.subject, params = e.params or {},
    input = input, data = e.data or "null", headers = e.headers and host.decode(e.headers) or {}, id = e.id,
    requestId = e.requestId or e.id, at = at, after = math.max(0, at - clock.now), attempt = 1, n = state.counter,
  }
end

local function message(e)
  return {
    subject = e.subject, payload = e.data and host.decode(e.data), raw = e.raw and bytes(e.raw),
    headers = e.headers and host.decode(e.headers) or {}, stream = e.stream,
  }
end

local function is_known(state, e)
  for _, other in ipairs(state.pending) do
    if other.id == e.id then return true end
  end
  return state.finished[e.requestId]
end

--- The effects of a mutation that has succeeded.
function _M.take(effects)
  local state = session.state
  for _, e in ipairs(effects) do
    if e.type == "cache" then
      state.cache[e.subject] = nil
    elseif e.type == "message" then
      table.insert(state.published, message(e))
    else
      local one = entry(e)
      if not is_known(state, one) then -- an id that is there already, or has run, is nothing new
        table.insert(state.scheduled, one)
        table.insert(state.pending, one)
      end
    end
  end
end

--- For a run that may fail: what it cancels comes back.
function _M.mark() return { { unpack(session.state.pending) }, { unpack(session.state.scheduled) } } end
function _M.back(mark) session.state.pending, session.state.scheduled = mark[1], mark[2] end

local function remove(list, one)
  for i, other in ipairs(list) do
    if other == one then return table.remove(list, i) end
  end
end

function scheduler.delete_rows(row, named)
  local state = session.state
  for _, one in ipairs(state.pending) do
    if (one.id == row or one.id == named) and one.at > clock.now then
      remove(state.scheduled, one)
      return remove(state.pending, one) ~= nil
    end
  end
  return false
end

--- What is due next: at its time, then in the order of scheduling. (What no operation of this app
--- takes stays.)
local function next_of(fits)
  local best
  for _, one in ipairs(session.state.pending) do
    if one.op and fits(one) and (not best or one.at < best.at or one.at == best.at and one.n < best.n) then best = one end
  end
  return best
end

local function is_due(one) return one.at <= clock.now end
local function is_retry(one) return one.attempt > 1 end

local function again(one, after_ms)
  local copy = {}
  for k, v in pairs(one) do copy[k] = v end
  copy.attempt, copy.at = one.attempt + 1, clock.now + after_ms
  table.insert(session.state.pending, copy)
end

local function move_clock(ms)
  session.state.moved = ms
  clock.set(ms)
end

--- Runs what is due until nothing is left; retries move the clock to the time their policy names.
--- run(entry) → ok, value or failure. Gives what happened, in order.
function _M.drain(run, raise)
  local outcomes = {}
  for _ = 1, MAX_RUNS do
    local one = next_of(is_due) or next_of(is_retry)
    if not one then return outcomes end
    if one.at > clock.now then move_clock(one.at) end
    remove(session.state.pending, one)
    local ok, value = run(one)
    local outcome = { op = one.op, path = one.path, input = one.input, params = one.params, attempt = one.attempt }
    outcome.ok, outcome[ok and "result" or "err"] = ok, value
    outcomes[#outcomes + 1] = outcome
    if ok then
      session.state.finished[one.requestId] = true
    elseif value.retry_ms then
      again(one, value.retry_ms)
    else
      session.state.finished[one.requestId] = true
      table.insert(session.state.dead, outcome)
    end
  end
  raise("t:drain ran %d tasks, and there are more: they schedule each other for ever (the last: %s)", MAX_RUNS,
    outcomes[#outcomes].path)
end

--- The slots of crons that the clock passes become due tasks.
local function fire_crons(from, to, raise)
  local ok, text = host.ask("test.crons", from, to)
  if not ok then raise("%s", text or "specs cannot wait here") end
  local list = host.decode(text)
  table.sort(list, function(a, b) return a.at < b.at or a.at == b.at and a.name < b.name end)
  for _, slot in ipairs(list) do
    local one
    for i, op in ipairs(registry.ops) do
      if _M.matches(op, slot.subject) then one = { i, op } end
    end
    local id = ("cron:%s:%d"):format(slot.name, slot.at)
    local e = entry { op = one and one[1], subject = slot.subject, data = slot.data, at = slot.at, id = id, requestId = id }
    e.cron = slot.name
    table.insert(session.state.scheduled, e)
    table.insert(session.state.pending, e)
  end
end

--- "jobs.users.get.42" is one of op's subjects.
function _M.matches(op, subject)
  local pattern = (registry.queues[op.queue].subject .. "." .. op.path):gsub("[%-.]", "%%%0")
    :gsub("%$[%w_]+", "[^.]+")
  return subject:find("^" .. pattern .. "$") ~= nil
end

function _M.advance(ms, raise)
  local from = clock.now
  move_clock(from + ms)
  fire_crons(from, from + ms, raise)
end

_M.move_clock = move_clock

return _M
