-- Money moves between few accounts. Each handler writes down which versions it read and wrote.
local rbf = require "rbf"
local z = rbf.z
local app, note, followups = require "app", require "note", require "followups"

local function read(r, id)
  local account = r.db:one("SELECT id, balance, version FROM accounts WHERE id = $1", id)
  r.db:exec("INSERT INTO reads VALUES ($1, $2, $3)", r.msg.requestId, id, account.version)
  return account
end

local function write(r, account, amount)
  local version = account.version + 1
  r.db:exec("UPDATE accounts SET balance = $2, version = $3 WHERE id = $1", account.id, account.balance + amount, version)
  r.db:exec("INSERT INTO writes VALUES ($1, $2, $3, $4)", r.msg.requestId, account.id, version, amount)
  return version
end

local function refuse_poor(balance, amount)
  if balance < amount then rbf.fail { status = 409, code = "INSUFFICIENT_FUNDS", message = "the balance is too low" } end
end

local transfer = app:mutation("jobs", {
  path = "bank.transfer",
  input = z.object { from = z.int(), to = z.int(), amount = z.int():positive() },
  handler = function(r)
    local from, to = read(r, r.input.from), read(r, r.input.to)
    local version = write(r, from, -r.input.amount)
    refuse_poor(from.balance, r.input.amount) -- only now: what is written must go
    write(r, to, r.input.amount)
    note.effect(r, "transfer")
    local input = { source = r.msg.requestId, hops = r.input.amount % 3 }
    note.spawned(r, r.scheduler:enqueue(followups.notice, { input = input }))
    return { account = from.id, version = version }
  end,
})

-- Reads two accounts and writes one: the pattern that snapshots alone let through.
local draw = app:mutation("events", {
  path = "bank.draw",
  input = z.object { from = z.int(), other = z.int(), amount = z.int():positive() },
  handler = function(r)
    local from, other = read(r, r.input.from), read(r, r.input.other)
    refuse_poor(from.balance + other.balance, r.input.amount)
    local version = write(r, from, -r.input.amount)
    note.effect(r, "draw")
    return { account = from.id, version = version }
  end,
})

local audit = app:mutation("jobs", {
  path = "bank.audit",
  handler = function(r)
    local total = 0
    for id = 1, 6 do total = total + read(r, id).balance end
    note.effect(r, "audit")
    return { total = total }
  end,
})

-- What is there and what was moved away, in one snapshot: always what there was at the beginning.
local total = app:query("jobs", {
  path = "bank.total",
  handler = function(r)
    local left = r.db:one "SELECT sum(balance)::bigint AS n FROM accounts"
    local moved = r.db:one "SELECT COALESCE(sum(amount), 0)::bigint AS n FROM writes"
    return { total = left.n - moved.n }
  end,
})

return { transfer = transfer, draw = draw, audit = audit, total = total }
