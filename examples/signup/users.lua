local rbf = require "rbf"
local z = rbf.z
local apps = require "app"
local email = require "email"

-- onError runs after the rollback and may only say it better: which of the two keys was taken.
local register = apps.app:middleware {
  onError = function(_, e)
    if e.sqlstate ~= "23505" then return end
    rbf.fail { status = 409, code = "TAKEN", message = "This account or e-mail address is registered already." }
  end,
}

local registerUser = register:mutation("jobs", {
  path = "users.register",
  input = z.object { email = z.string():email(), name = z.string():min(2) },
  output = z.object { id = z.string(), email = z.string(), name = z.string() },
  example = { email = "ada@example.com", name = "Ada" },
  handler = function(r)
    local user = r.db:insert("users", { id = r.ctx.user.id, email = r.input.email, name = r.input.name })
    r.scheduler:enqueue(email.sendWelcome, { input = { userId = user.id } })
    r.cache:invalidate "users.list" -- with the commit
    return user
  end,
})

local me = apps.app:query("jobs", {
  path = "users.me",
  handler = function(r)
    local user = r.db:findFirst("users", { where = { id = r.ctx.user.id }, columns = { "id", "email", "name" } })
    if not user then rbf.fail { status = 404, code = "NOT_REGISTERED", message = "Register first." } end
    return user
  end,
})

local listUsers = apps.admin:query("jobs", {
  path = "users.list",
  output = z.array(z.object { id = z.string(), email = z.string() }),
  -- the same for all who may see it; the token is checked before
  cache = { key = function() return "users.list" end, ttl = 300 },
  handler = function(r)
    return r.db:findMany("users", { where = rbf.all, orderBy = "id", limit = 100 })
  end,
})

return { registerUser = registerUser, me = me, listUsers = listUsers }
