local rbf = require "rbf"
local z = rbf.z
local app = require("app").app
local email = require "email"

local createUser = app:mutation("jobs", {
  path = "users.create",
  input = z.object { email = z.string():email(), name = z.string():min(2) },
  output = z.object { id = z.string(), name = z.string(), email = z.string() },
  example = { email = "ada@example.com", name = "Ada" },
  handler = function(r)
    if r.db:one("SELECT 1 FROM users WHERE email = $1", r.input.email) then
      rbf.fail {
        status = 409,
        code = "EMAIL_TAKEN",
        message = "User with this email already exists.",
      }
    end
    local user = r.db:insert("users", { email = r.input.email, name = r.input.name })
    r.scheduler:enqueue(email.sendWelcome, { input = { userId = user.id } })
    return user
  end,
})

local getUser = app:query("jobs", {
  path = "users.get.$userId",
  handler = function(r)
    return r.db:one("SELECT id, email, name FROM users WHERE id = $1", r.params.userId)
  end,
})

return { createUser = createUser, getUser = getUser }
