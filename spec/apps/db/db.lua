local rbf = require "rbf"
local z = rbf.z
local app = rbf.defineBackend { queues = { jobs = {} } }

-- Runs the code that a spec sends: it sees db, rbf and r.
local function run(r)
  local f = assert(load("local db, rbf, r = ... " .. r.input.code, "=sent"))
  return f(r.db, rbf, r)
end

local input = z.object { code = z.string() }

return {
  write = app:mutation("jobs", { path = "write", input = input, handler = run }),
  read = app:query("jobs", { path = "read", input = input, handler = run }),
  -- What a caller who forgot the header would delete.
  forget = app:mutation("jobs", {
    path = "forget",
    handler = function(r)
      return #r.db:delete("people", { where = { email = r.msg.headers["X-Email"] } })
    end,
  }),
  forgetOp = app:mutation("jobs", {
    path = "forgetOp",
    handler = function(r)
      return #r.db:delete("people", { where = { city = "Rom", email = rbf.op.eq(r.msg.headers["X-Email"]) } })
    end,
  }),
}
