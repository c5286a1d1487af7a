local rbf = require "rbf"
local auth = require "auth"

local base = rbf.defineBackend {
  queues = { jobs = {}, events = {} },
  context = { greeting = "Welcome" },
  modules = auth.modules,
}

-- Keys are rows, read in the handler's own transaction: a new one counts at once, a deleted one too.
local function find_key(r, kid)
  return r.db:findFirst("auth_keys", { where = { kid = kid } })
end

-- Whoever calls an operation of `app` has shown a token; ctx.user says who it is.
local app = base:middleware(auth.bearer { key = find_key, audience = "signup" })

-- `admin` asks for a scope on top. Its operations run both parts, in this order.
local admin = app:middleware(auth.scope "admin")

return { base = base, app = app, admin = admin }
