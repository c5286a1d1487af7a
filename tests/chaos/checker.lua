--- The judge. It knows nothing of the host: it reads the database and what the clients wrote down,
--- and says what of the promises (docs/reliability.md) does not hold.
local cjson = require "cjson"
local cycles = require "tests.chaos.cycles"

local Checker = {}
Checker.__index = Checker

local EARLY_MS = 50 -- a handler's clock against the database's

local function index(rows, key)
  local lists = {}
  for _, row in ipairs(rows) do
    lists[row[key]] = lists[row[key]] or {}
    table.insert(lists[row[key]], row)
  end
  return lists
end

function Checker:complain(rule, text, ...)
  self.found[rule] = (self.found[rule] or 0) + 1
  if self.found[rule] <= 3 then
    self.violations[#self.violations + 1] = rule .. ": " .. text:format(...)
  end
end

local function same(a, b)
  if type(a) ~= "table" or type(b) ~= "table" then return a == b end
  for k, v in pairs(a) do
    if not same(v, b[k]) then return false end
  end
  for k in pairs(b) do
    if a[k] == nil then return false end
  end
  return true
end

local function decoded(text)
  local ok, value = pcall(cjson.decode, "[" .. text .. "]")
  return ok and value[1] or text
end

-- ---------------------------------------------------------------- what there is

local function load_tables(self, db)
  local function all(sql) return db:query(sql) end
  self.effects = index(all "SELECT * FROM effects ORDER BY at", "request_id")
  self.spawned_rows = all "SELECT * FROM spawned"
  self.spawned = index(self.spawned_rows, "id")
  self.reads, self.writes = all "SELECT * FROM reads", all "SELECT * FROM writes ORDER BY account, version"
  self.writes_of = index(self.writes, "request_id")
  self.accounts = all "SELECT * FROM accounts"
  self.results = index(all "SELECT request_id, status, data, created_at FROM rbf_results", "request_id")
  self.gone = index(all "SELECT * FROM gone_results", "request_id")
  self.letters = index(all "SELECT request_id, error_code, replayed_at, died_at FROM rbf_dead_letters", "request_id")
  self.cancels = index(all "SELECT * FROM cancels WHERE cancelled", "id")
  self.outbox = all "SELECT * FROM rbf_outbox"
  self.crons = all "SELECT name, last_slot FROM rbf_crons"
end

-- ---------------------------------------------------------------- facts of one id

function Checker:effect_count(id)
  return #(self.effects[id] or {})
end

--- Was there ever a stored result with this status (a function says which)?
function Checker:had_result(id, want)
  for _, rows in ipairs { self.results[id] or {}, self.gone[id] or {} } do
    for _, row in ipairs(rows) do
      if want(tonumber(row.status)) then return row end
    end
  end
end

local function is_200(status) return status == 200 end
local function is_error(status) return status ~= 200 end

--- Of what the clients' commands said of an id.
function Checker:command_said(id, verb, text)
  for _, entry in ipairs(self.load.commands) do
    if entry.id == id and entry.verb == verb and (not text or (entry.said or ""):find(text, 1, true)) then return true end
  end
end

function Checker:was_cancelled(id)
  return self.cancels[id] or self:command_said(id, "cancel", "cancelled: it will never run")
end

function Checker:was_discarded(id)
  return self:command_said(id, "discard", "1 discarded") or self:command_said(id, "discard", "2 discarded")
end

--- A command that broke off: it may or may not have done what it was asked.
function Checker:command_unknown(id, verb)
  for _, entry in ipairs(self.load.commands) do
    local said = entry.said or ""
    if entry.id == id and entry.verb == verb and not said:find "cancelled" and not said:find "discarded"
      and not said:find "does not wait" and not said:find "no dead letter" then
      return true
    end
  end
end

local function replies_of(request)
  local list = {}
  for _, send in ipairs(request.sends) do
    for _, reply in ipairs(send.replies) do
      if reply.status then list[#list + 1] = reply end -- else: the PubAck of a subject that a stream has
    end
  end
  return list
end

local function stored(request)
  for _, send in ipairs(request.sends) do
    if send.ack then return true end
  end
end

-- ---------------------------------------------------------------- rules

--- Nothing took effect twice, and nothing that nobody asked for.
function Checker:check_effects()
  for id, rows in pairs(self.effects) do
    if #rows > 1 then self:complain("once", "%s took effect %d times", id, #rows) end
    local known = self.load.by_id[id] or self.spawned[id] or id:find "^cron:t[io]ck:"
    if not known then self:complain("phantom", "%s (%s) ran, and no committed transaction asked for it", id, rows[1].op) end
    local result = self:had_result(id, is_200)
    if not result then self:complain("result", "%s took effect without a stored result", id) end
    if rows[1].op == "refuse" then self:complain("rollback", "%s failed and took effect", id) end
  end
end

--- A stored 200 without its effect.
function Checker:check_results()
  for _, results in ipairs { self.results, self.gone } do
    for id, rows in pairs(results) do
      if is_200(tonumber(rows[1].status)) and self:effect_count(id) == 0 then
        self:complain("result", "%s has a stored success and no effect", id)
      end
    end
  end
end

local function check_reply(self, request, reply)
  local id = request.id
  if reply.status ~= 200 then return end
  if self:effect_count(id) ~= 1 then
    self:complain("answered", "%s was answered with 200 and took effect %d times", id, self:effect_count(id))
  end
  local result = self:had_result(id, is_200)
  if result and not same(decoded(reply.raw), decoded(result.data or "null")) then
    self:complain("reply", "%s was told %s, stored is %s", id, reply.raw, tostring(result.data))
  end
  local body = reply.body
  if type(body) == "table" and body.version then
    local row = self.writes_of[id] and self.writes_of[id][1]
    local found = false
    for _, w in ipairs(self.writes_of[id] or {}) do
      found = found or tonumber(w.account) == body.account and tonumber(w.version) == body.version
    end
    if not found then self:complain("reply", "%s was told of version %d, which is not its own (%s)", id, body.version,
      row and row.version or "none") end
  end
end

-- A stored error is the answer each time, until a replay or a discard takes it away.
local function check_errors_equal(self, request, replies)
  local touched = self.gone[request.id]
  local first
  for _, reply in ipairs(replies) do
    if reply.status == 422 and not touched then
      first = first or reply
      if not same(decoded(first.raw), decoded(reply.raw)) then
        self:complain("reply", "%s was told %s and %s", request.id, first.raw, reply.raw)
      end
    end
  end
end

function Checker:check_replies()
  for _, request in ipairs(self.load.requests) do
    local replies = replies_of(request)
    if request.kind == "total" then
      for _, reply in ipairs(replies) do
        if reply.status == 200 and reply.body.total ~= self.initial then
          self:complain("snapshot", "a query saw %s, there were %d", reply.raw, self.initial)
        end
      end
    elseif request.kind ~= "conflict" then
      for _, reply in ipairs(replies) do check_reply(self, request, reply) end
      check_errors_equal(self, request, replies)
    else
      for _, reply in ipairs(replies) do
        if reply.status == 200 then self:complain("conflict", "%s was answered for another request's id", request.id) end
      end
    end
    for _, reply in ipairs(replies) do self.answered = self.answered + (reply == replies[1] and 1 or 0) end
  end
end

function Checker:check_money()
  local balances, versions = {}, {}
  for _, account in ipairs(self.accounts) do
    balances[account.id], versions[account.id] = 1000, 0
  end
  for _, row in ipairs(self.writes) do
    balances[row.account] = balances[row.account] + tonumber(row.amount)
    versions[row.account] = versions[row.account] + 1
    if tonumber(row.version) ~= versions[row.account] then
      self:complain("ledger", "account %s: version %s is change number %d", row.account, row.version, versions[row.account])
    end
  end
  for _, account in ipairs(self.accounts) do
    if tonumber(account.balance) ~= balances[account.id] or tonumber(account.version) ~= versions[account.id] then
      self:complain("ledger", "account %s has %s (version %s), its entries say %d (%d)", account.id, account.balance,
        account.version, balances[account.id], versions[account.id])
    end
  end
  for id, rows in pairs(self.writes_of) do
    local sum = 0
    for _, row in ipairs(rows) do sum = sum + tonumber(row.amount) end
    if #rows == 2 and sum ~= 0 then self:complain("money", "%s made or lost %d", id, sum) end
    if self:had_result(id, is_error) and not self:had_result(id, is_200) then
      self:complain("money", "%s failed and wrote %d", id, sum)
    end
  end
end

function Checker:check_serializable()
  local cycle = cycles.find(self.reads, self.writes)
  if cycle then self:complain("serializable", "%s", cycle) end
end

--- The last word on an id that is to have an outcome: its category, or nil when it is lost.
function Checker:category(id, request)
  if self:effect_count(id) > 0 then return "done" end
  for _, letter in ipairs(self.letters[id] or {}) do
    if not letter.replayed_at then return letter.error_code == "EXPIRED" and "expired" or "dead" end
  end
  if self:was_cancelled(id) then return "cancelled" end
  if self:was_discarded(id) then return "discarded" end
  local result = self.results[id] and self.results[id][1]
  if result and is_error(tonumber(result.status)) then
    for _, letter in ipairs(self.letters[id] or {}) do
      if tonumber(result.created_at) < tonumber(letter.replayed_at) then return nil end -- sent again, and never ran
    end
    return "refused"
  end
  for _, reply in ipairs(request and replies_of(request) or {}) do
    if reply.status == 410 then return "expired" end
    if reply.status >= 400 and reply.status < 500 then return "refused" end
  end
  if self:command_unknown(id, "cancel") then return "cancelled" end
  if self:command_unknown(id, "discard") then return "discarded" end
  if request and (request.kind == "invalid" or request.kind == "expired") and request.way ~= "store" then
    return "refused" -- told, and the word was lost
  end
  if self.aging and self:had_result(id, is_error) and not self.letters[id] then return "refused" end
end

local function account_for(self, id, request, what)
  local category = self:category(id, request)
  self.accounts_for[category or "lost"] = (self.accounts_for[category or "lost"] or 0) + 1
  if not category then
    local result, letter = self.results[id] and self.results[id][1], self.letters[id] and self.letters[id][1]
    self:complain("lost", "%s (%s) is neither done nor anything else (result %s, letter %s)", id, what,
      result and result.status or "none", letter and letter.error_code or "none")
  end
end

--- accepted = done + refused + expired + cancelled + discarded + dead; nothing is pending any more.
function Checker:check_accounts()
  for _, request in ipairs(self.load.requests) do
    if request.kind ~= "total" and request.kind ~= "conflict" and stored(request) then
      self.accepted = self.accepted + 1
      account_for(self, request.id, request, request.way)
    end
  end
  local seen = {}
  for _, row in ipairs(self.spawned_rows) do
    if not seen[row.id] then
      seen[row.id] = true
      self.accepted = self.accepted + 1
      account_for(self, row.id, nil, "follow-up of " .. row.source)
    end
  end
  for _, row in ipairs(self.outbox) do self:complain("pending", "an outbox row is left: %s %s", row.path, row.id) end
end

function Checker:check_cancelled()
  for id in pairs(self.cancels) do
    if self:effect_count(id) > 0 then self:complain("cancelled", "%s was cancelled and ran", id) end
  end
  for _, entry in ipairs(self.load.commands) do
    if entry.verb == "cancel" and (entry.said or ""):find "cancelled: it will never run" and self:effect_count(entry.id) > 0 then
      self:complain("cancelled", "%s was cancelled by command and ran", entry.id)
    end
  end
end

function Checker:check_times()
  local function check(id, target)
    local effect = self.effects[id] and self.effects[id][1]
    if effect and target and tonumber(effect.at) < tonumber(target) - EARLY_MS then
      self:complain("early", "%s ran %d ms too early", id, tonumber(target) - tonumber(effect.at))
    end
  end
  for id, rows in pairs(self.spawned) do
    local earliest
    for _, row in ipairs(rows) do
      if not row.target_at then earliest = nil break end
      earliest = math.min(earliest or 1e18, tonumber(row.target_at))
    end
    check(id, earliest)
  end
  for _, request in ipairs(self.load.requests) do check(request.id, request.headers and request.headers["Target-At"]) end
end

--- By nobody's clock but the database's has a request expired.
function Checker:check_expiry()
  local function check(id, at)
    local request = self.load.by_id[id]
    local expires = request and request.headers and tonumber(request.headers["Expires-At"])
    if expires and at < expires - EARLY_MS then
      self:complain("early", "%s expired %d ms too early", id, expires - at)
    end
  end
  for id, letters in pairs(self.letters) do
    for _, letter in ipairs(letters) do
      if letter.error_code == "EXPIRED" then check(id, tonumber(letter.died_at)) end
    end
  end
  for _, request in ipairs(self.load.requests) do
    for _, reply in ipairs(replies_of(request)) do
      if reply.status == 410 then check(request.id, reply.at) end
    end
  end
end

local function epoch_of(slot)
  local y, mo, d, h, m, s = slot:match "^(%d+)-(%d+)-(%d+)T(%d+):(%d+):(%d+)Z$"
  y, mo = tonumber(y), tonumber(mo)
  if mo <= 2 then y, mo = y - 1, mo + 12 end -- days since 1970 (Gregorian)
  local days = 365 * y + math.floor(y / 4) - math.floor(y / 100) + math.floor(y / 400) + math.floor((153 * (mo - 3) + 2) / 5)
    + tonumber(d) - 719469
  return ((days * 24 + tonumber(h)) * 60 + tonumber(m)) * 60 + tonumber(s)
end

-- Each second has one firing, from the first to the last that was claimed.
local function check_cron(self, cron)
  local slots, first, last = {}, nil, cron.last_slot and tonumber(cron.last_slot) / 1000
  for id in pairs(self.effects) do
    local name, slot = id:match "^cron:(%a+):(.+)$"
    if name == cron.name then
      local at = epoch_of(slot)
      slots[at] = true
      first, last = math.min(first or at, at), math.max(last or at, at)
    end
  end
  first = first or last
  self.slots = self.slots + (first and last - first + 1 or 0)
  for at = first or 1, last or 0 do
    if not slots[at] then self:complain("cron", "%s: slot %d of %d to %d did not fire", cron.name, at, first, last) end
  end
end

function Checker:check_crons()
  self.slots = 0
  for _, cron in ipairs(self.crons) do check_cron(self, cron) end
end

--- Judges: {violations = texts, counts by rule in found, accounts_for = {category = n}, accepted,
--- answered, slots}. o: db, load (tests/chaos/load), aging (results may have been purged), initial
--- (the money there was).
return function(o)
  local self = setmetatable(o, Checker)
  self.violations, self.found, self.accounts_for, self.accepted, self.answered = {}, {}, {}, 0, 0
  load_tables(self, o.db)
  for _, rule in ipairs { "effects", "results", "replies", "money", "serializable", "accounts", "cancelled", "times", "expiry",
    "crons" } do
    self["check_" .. rule](self)
  end
  return self
end
