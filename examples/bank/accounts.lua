local rbf = require "rbf"
local z = rbf.z
local app = require "app"

local cents = z.int():min(0):max(1e12)

local openAccount = app:mutation("jobs", {
  path = "accounts.open",
  input = z.object { owner = z.string():min(1), deposit = cents:default(0) },
  output = z.object { id = z.int(), owner = z.string(), balance = cents },
  example = { owner = "Ada", deposit = 10000 },
  handler = function(r)
    return r.db:insert("accounts", { owner = r.input.owner, balance = r.input.deposit })
  end,
})

local getAccount = app:query("jobs", {
  path = "accounts.get.$id",
  handler = function(r)
    local account = r.db:one("SELECT id, owner, balance FROM accounts WHERE id = $1", r.params.id)
    if not account then rbf.fail { status = 404, code = "NO_SUCH_ACCOUNT", message = "no account " .. r.params.id } end
    account.entries = r.db:query("SELECT transfer_id, amount FROM entries WHERE account_id = $1", r.params.id)
    return account
  end,
})

return { openAccount = openAccount, getAccount = getAccount }
