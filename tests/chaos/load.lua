--- The clients: what they send is drawn from the seed, and what they are told is written down.
local cjson = require "cjson"
local proc = require "spec.support.proc"
local new_rng = require "tests.chaos.rng"

local Load = {}
Load.__index = Load

local ACCOUNTS = 6

-- What is sent, and how often.
local OPS = {
  transfer = 46, draw = 6, audit = 1, total = 4, plan = 12, cancel = 9, flaky = 5, broken = 3, refuse = 4,
  invalid = 3, expired = 2, timely = 2, delayed = 5, conflict = 2,
}

-- What fails is mostly nobody's question: then nobody sends it again.
local UNASKED = { broken = true, refuse = true }


local SUBJECTS = {
  transfer = "jobs.bank.transfer", draw = "events.bank.draw", audit = "jobs.bank.audit", total = "jobs.bank.total",
  plan = "jobs.tasks.plan", cancel = "jobs.tasks.cancel", flaky = "jobs.tasks.flaky", broken = "events.tasks.broken",
  refuse = "events.tasks.refuse", invalid = "jobs.bank.transfer", expired = "jobs.bank.transfer",
  timely = "jobs.bank.transfer", delayed = "jobs.bank.transfer", conflict = "jobs.bank.transfer", poison = "jobs.tasks.poison",
}

--- o: client, prefix, seed, aging (no id is sent again after a while: it may be forgotten by then),
--- command = function(words, on_end): starts `rbf …`.
local function new(o)
  local self = setmetatable(o, Load)
  self.rng = new_rng(o.seed, "load")
  self.requests, self.by_id, self.jobs, self.later, self.doomed, self.dooming = {}, {}, {}, {}, {}, {}
  self.commands = {} -- {id =, verb =, said =}
  self.sends, self.resends, self.redrawn = 0, 0, 0
  return self
end

-- ---------------------------------------------------------------- one request

local function transfer_input(rng)
  local from = rng:int(1, ACCOUNTS)
  local to = (from + rng:int(1, ACCOUNTS - 1) - 1) % ACCOUNTS + 1
  return { from = from, to = to, amount = rng:chance(.05) and 100000 or rng:int(1, 60) }
end

local function on_reply(send, m)
  send.replies[#send.replies + 1] = { status = m.status, raw = m.raw, body = m.body, at = proc.epoch_ms() }
end

--- Puts a request on the wire (again): into its stream, or through the gateway.
function Load:put(request)
  local send = { rpc = request.way == "rpc", replies = {}, at = proc.now_ms() }
  local headers = { ["Request-Id"] = request.id }
  for name, value in pairs(request.headers or {}) do headers[name] = value end
  local reply = self.client:expect(function(m)
    on_reply(send, m)
  end)
  local ack
  if send.rpc then
    ack = reply
  else
    headers["Reply-To"] = request.way == "call" and reply or nil
    ack = self.client:expect(function(m)
      if m.body and m.body.seq then send.ack = m.body else send.refused = m.raw end
    end)
  end
  request.sends[#request.sends + 1] = send
  self.sends = self.sends + 1
  local subject = self.prefix .. (send.rpc and "rpc." or "") .. request.subject
  pcall(self.client.publish, self.client, { subject = subject, headers = headers, data = request.data, reply = ack })
  return send
end

function Load:add(kind, input, more)
  local request = {
    id = ("%s-%d"):format(kind, #self.requests + 1), kind = kind, subject = SUBJECTS[kind], sends = {},
    data = input and cjson.encode(input) or "null", at = proc.now_ms(),
  }
  for key, value in pairs(more or {}) do request[key] = value end
  self.requests[#self.requests + 1] = request
  self.by_id[request.id] = request
  self:put(request)
  return request
end

-- ---------------------------------------------------------------- what is sent

local function future(ms)
  return { ["Target-At"] = ("%d"):format(proc.epoch_ms() + ms) }
end

local makers = {}

function makers.draw(rng)
  local input = transfer_input(rng)
  return { from = input.from, other = input.to, amount = input.amount }
end

function makers.plan(rng, self)
  local delays = {}
  for i = 1, rng:int(1, 3) do delays[i] = rng:int(150, 2500) end
  return { delays = delays, broken = rng:chance(.25), named = not self.aging and rng:chance(.2) and "shared-" .. rng:int(1, 5) or nil }
end

function makers.flaky(rng)
  return { fail = rng:int(0, 3) }
end

function makers.audit() return nil end
makers.total, makers.broken, makers.refuse, makers.poison = makers.audit, makers.audit, makers.audit, makers.audit

function makers.invalid()
  return { from = 1, to = "two", amount = 1 }
end

function makers.expired(rng)
  return transfer_input(rng), { headers = { ["Expires-At"] = ("%d"):format(proc.epoch_ms() + rng:int(-1000, 30)) } }
end

function makers.timely(rng)
  return transfer_input(rng), { headers = { ["Expires-At"] = ("%d"):format(proc.epoch_ms() + 600000) } }
end

function makers.delayed(rng)
  return transfer_input(rng), { headers = future(rng:int(200, 2000)), single = true }
end

function Load:draw_way(kind)
  if kind == "total" then return self.rng:pick { "call", "rpc" } end
  if UNASKED[kind] then return self.rng:weighted { call = 25, store = 65, rpc = 10 } end
  return self.rng:weighted { call = 60, store = 20, rpc = 20 }
end

--- Something calls a job off: a handler, which holds what it has cancelled for `hold` ms before it
--- commits, or a command.
function Load:call_off(id, hold)
  if self.rng:chance(hold == 0 and .4 or .2) then
    self:run_command("cancel", id)
  else
    self:add("cancel", { id = id, hold = hold }, { way = "call" })
  end
end

--- A job that waits, or one of the few that are done and stay.
function Load:cancel()
  for i = #self.jobs, 1, -1 do
    if self.jobs[i].due < proc.epoch_ms() and self.rng:chance(.8) then table.remove(self.jobs, i) end
  end
  local job = table.remove(self.jobs, self.rng:int(1, math.max(1, #self.jobs)))
  if job then self:call_off(job.id, 0) end
end

--- Some jobs are called off in the moment before they are due, and are due before that commits.
function Load:cancel_late()
  local now = proc.epoch_ms()
  for i = #self.doomed, 1, -1 do
    local job = self.doomed[i]
    if job.due - job.before <= now then
      table.remove(self.doomed, i)
      self:call_off(job.id, math.max(0, math.floor(job.due - now)) + 60)
    end
  end
end

--- Jobs that will all be called off in that moment, by hosts that nothing keeps from being in time.
function Load:plan_doomed(n)
  for _ = 1, n do
    local delays = { self.rng:int(300, 600), self.rng:int(400, 700) }
    self.dooming[#self.dooming + 1] = self:add("plan", { delays = delays, broken = false }, { way = "call", doomed = true })
  end
end

--- One step of calling them off: is there anything left of it to do?
function Load:doom()
  self:learn_jobs()
  self:cancel_late()
  for _, request in ipairs(self.dooming) do
    if not request.learnt then return true end
  end
  return #self.doomed > 0
end

--- The id of an earlier request, for something else.
function Load:conflict()
  local other = self.rng:pick(self.requests)
  if other and other.kind == "transfer" and not self.aging and not other.conflicting then
    other.conflicting = true
    local request = self:add("conflict", { from = 1, to = 2, amount = 1000000 }, { way = "call", id = other.id })
    self.by_id[other.id] = other
    request.single = true
  end
end

function Load:send_one()
  local kind = self.rng:weighted(OPS)
  if kind == "cancel" or kind == "conflict" then return self[kind](self) end
  local input, more = (makers[kind] or transfer_input)(self.rng, self)
  more = more or {}
  more.way = self:draw_way(kind)
  local request = self:add(kind, input, more)
  if request.single or kind == "total" then return end
  if self.rng:chance(kind == "plan" and .4 or .15) then
    self:put(request) -- at once; what the server tells apart is only where it is stored
  elseif not self.aging and self.rng:chance(.1) then
    self.later[#self.later + 1] = { at = proc.now_ms() + self.rng:int(50, 1500), request = request }
  end
end

function Load:poison()
  self:add("poison", nil, { way = "store" })
end

-- ---------------------------------------------------------------- commands

function Load:run_command(verb, id)
  local entry = { id = id, verb = verb }
  self.commands[#self.commands + 1] = entry
  self.command({ "job:" .. verb, id }, function(code, out)
    entry.code, entry.said = code, out
  end)
end

--- Somebody looks after the dead letters while all this goes on.
function Load:tend_letters()
  local request = self.rng:pick(self.requests)
  if self.rng:chance(.5) then
    self:run_command("replay", "--all")
  elseif request and (request.kind == "broken" or request.kind == "refuse") then
    self:run_command("discard", request.id)
  end
end

-- ---------------------------------------------------------------- as time goes on

-- Jobs that a plan's reply names may be called off; so may what Target-At delays.
function Load:learn_jobs()
  for _, request in ipairs(self.requests) do
    if request.kind == "plan" and not request.learnt then
      local reply = request.sends[1].replies[1]
      local ids = reply and reply.status == 200 and reply.body and reply.body.ids
      if type(ids) == "table" then
        request.learnt = true
        local delays = cjson.decode(request.data).delays
        for n, id in ipairs(ids) do
          local list = (request.doomed or self.rng:chance(.3)) and self.doomed or self.jobs
          list[#list + 1] = { id = id, due = reply.at + delays[n], before = self.rng:int(20, 150) }
        end
      end
    elseif request.kind == "delayed" and not request.learnt and self.rng:chance(.3) then
      request.learnt = true
      self:run_command("cancel", request.id)
    end
    request.learnt = request.learnt or not request.doomed and proc.now_ms() - request.at > 500
  end
end

local function answered(request)
  for _, send in ipairs(request.sends) do
    if #send.replies > 0 then return true end
  end
end

--- Sends again what was due for it, or has got no answer for long.
function Load:send_again()
  local now = proc.now_ms()
  for i = #self.later, 1, -1 do
    if self.later[i].at <= now then
      self:put(table.remove(self.later, i).request)
      self.resends = self.resends + 1
    end
  end
  if self.aging then return end
  for _, request in ipairs(self.requests) do
    local last = request.sends[#request.sends]
    if not request.single and request.way ~= "store" and now - last.at > 1800 and #request.sends < 4
      and not answered(request) then
      self:put(request)
      self.resends = self.resends + 1
    end
  end
end

--- Everything that is due by now, at `rate` requests a second since it began.
function Load:step(began, rate)
  local due = math.min((proc.now_ms() - began) / 1000 * rate, self.sends + 25)
  local n = 0
  while self.drawn_count < due and n < 25 do
    self.drawn_count, n = self.drawn_count + 1, n + 1
    self:send_one()
    if self.rng:chance(.01) then self:tend_letters() end
  end
  self:learn_jobs()
  self:cancel_late()
  self:send_again()
end

Load.drawn_count = 0

return new
