local rbf = require "rbf"
local z = rbf.z
local app = rbf.defineBackend { queues = { jobs = {} } }
local user_error = { status = 409, code = "TAKEN", message = "It is taken", details = { { path = { "tag" } } } }

-- One row a run.
local mark = app:mutation("jobs", {
  path = "mark",
  input = z.object { tag = z.string():min(1), ms = z.int():default(0) },
  handler = function(r)
    rbf.sleep { ms = r.input.ms }
    return r.db:insert("done", { tag = r.input.tag, request_id = r.msg.requestId })
  end,
})

local echo = app:mutation("jobs", {
  path = "echo.$a.$b",
  input = z.any(),
  handler = function(r)
    return {
      input = r.input, params = r.params, trace = r.msg.headers["x-trace"], id = r.msg.requestId,
      subject = r.msg.subject,
    }
  end,
})

local fail = app:mutation("jobs", { path = "fail", handler = function() rbf.fail(user_error) end })
local boom = app:mutation("jobs", { path = "boom", handler = function() error "secret" end })
local nothing = app:query("jobs", { path = "nothing", handler = function() end })

local count = app:query("jobs", {
  path = "count.$tag",
  handler = function(r)
    rbf.sleep { ms = 1 }
    return r.db:one("SELECT count(*)::int AS n FROM done WHERE tag = $1", r.params.tag)
  end,
})

-- What a handler hears that calls the app it is a part of.
local inside = app:mutation("jobs", {
  path = "inside",
  handler = function()
    local _, e = pcall(function() rbf.backend.mutations.mark { input = { tag = "x" } } end)
    return tostring(e)
  end,
})

return {
  mark = mark, echo = echo, fail = fail, boom = boom, nothing = nothing, count = count, inside = inside,
}
