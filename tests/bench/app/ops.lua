local rbf = require "rbf"
local z = rbf.z
local app = require "app"

local noop = app:mutation("jobs", {
  path = "noop",
  handler = function() return { ok = true } end,
})

-- The follow-up of create and fanout: one row.
local note = app:mutation("events", {
  path = "note",
  input = z.object { text = z.string() },
  handler = function(r)
    r.db:insert("notes", { text = r.input.text })
    return { ok = true }
  end,
})

local create = app:mutation("jobs", {
  path = "create",
  input = z.object { email = z.string():email(), name = z.string():min(2) },
  output = z.object { id = z.string(), email = z.string(), name = z.string() },
  handler = function(r)
    local user = r.db:insert("users", { email = r.input.email, name = r.input.name })
    r.scheduler:enqueue(note, { input = { text = user.id } })
    return user
  end,
})

local signup = app:mutation("jobs", {
  path = "signup",
  input = z.object { email = z.string():email(), name = z.string():min(2) },
  output = z.object { id = z.string(), email = z.string(), name = z.string() },
  handler = function(r)
    if r.db:one("SELECT 1 FROM users WHERE email = $1", r.input.email) then
      rbf.fail { status = 409, code = "EMAIL_TAKEN", message = "User with this email already exists." }
    end
    return r.db:insert("users", { email = r.input.email, name = r.input.name })
  end,
})

local get = app:query("jobs", {
  path = "get.$id",
  handler = function(r)
    return r.db:one("SELECT id, owner, balance FROM accounts WHERE id = $1", r.params.id)
  end,
})

local transfer = app:mutation("jobs", {
  path = "transfer",
  input = z.object { from = z.int(), to = z.int() },
  handler = function(r)
    local from = r.db:one("SELECT balance FROM accounts WHERE id = $1", r.input.from)
    local to = r.db:one("SELECT balance FROM accounts WHERE id = $1", r.input.to)
    r.db:exec("UPDATE accounts SET balance = $2 WHERE id = $1", r.input.from, from.balance - 1)
    r.db:exec("UPDATE accounts SET balance = $2 WHERE id = $1", r.input.to, to.balance + 1)
    return { ok = true }
  end,
})

local fanout = app:mutation("jobs", {
  path = "fanout",
  handler = function(r)
    for i = 1, 100 do r.scheduler:enqueue(note, { input = { text = tostring(i) } }) end
    return { ok = true }
  end,
})

return {
  noop = noop, note = note, create = create, signup = signup, get = get, transfer = transfer, fanout = fanout,
}
