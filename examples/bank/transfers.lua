local rbf = require "rbf"
local z = rbf.z
local app = require "app"
local notices = require "notices"

local function move(r, transfer, account, amount)
  r.db:exec("UPDATE accounts SET balance = balance + $2 WHERE id = $1", account, amount)
  r.db:insert("entries", { transfer_id = transfer.id, account_id = account, amount = amount })
end

local createTransfer = app:mutation("jobs", {
  path = "transfers.create",
  input = z.object {
    from = z.int():positive(),
    to = z.int():positive(),
    amount = z.int():positive(),
  }:refine(function(t) return t.from ~= t.to end, { message = "from and to are the same account", path = { "to" } }),
  output = z.object { id = z.string(), balance = z.int() },
  example = { from = 1, to = 2, amount = 2500 },
  handler = function(r)
    local t = r.input
    local from = r.db:one("SELECT balance FROM accounts WHERE id = $1", t.from)
    if not from or not r.db:one("SELECT 1 FROM accounts WHERE id = $1", t.to) then
      rbf.fail { status = 404, code = "NO_SUCH_ACCOUNT", message = "one of the accounts does not exist" }
    end
    if from.balance < t.amount then
      rbf.fail { status = 409, code = "INSUFFICIENT_FUNDS", message = "the balance is too low",
        details = { balance = from.balance } }
    end
    local transfer = r.db:insert("transfers", { request_id = r.msg.requestId, amount = t.amount })
    move(r, transfer, t.from, -t.amount)
    move(r, transfer, t.to, t.amount)
    r.scheduler:enqueue(notices.sendNotice, {
      input = { transfer = transfer.id, account = t.to, amount = t.amount },
    })
    return { id = transfer.id, balance = from.balance - t.amount }
  end,
})

return { createTransfer = createTransfer }
