-- Work that dies until `settings` says that it works.
local rbf = require "rbf"
local z = rbf.z

local app = rbf.defineBackend { queues = { jobs = {} } }

local mark = app:mutation("jobs", {
  path = "mark",
  input = z.string(),
  handler = function(r)
    if not r.db:one("SELECT works FROM settings").works then
      rbf.fail { status = 409, code = "NOT_YET", message = "not yet" }
    end
    r.db:exec("INSERT INTO marks VALUES ($1)", r.input)
    return r.msg.headers["X-Kept"]
  end,
})

local broken = app:mutation("jobs", {
  path = "broken",
  input = z.string(),
  handler = function(r)
    if not r.db:one("SELECT works FROM settings").works then error("broken " .. r.input) end
    r.db:exec("INSERT INTO marks VALUES ($1)", r.input)
  end,
})

local later = app:mutation("jobs", {
  path = "later",
  input = z.string(),
  handler = function(r)
    return r.scheduler:runAfter({ hours = 1 }, mark, { input = r.input, id = r.input })
  end,
})

-- Fails with the words it is given, at one of two lines.
local says = app:mutation("jobs", {
  path = "says",
  input = z.object { text = z.string(), there = z.boolean():optional() },
  handler = function(r)
    local function there() error(r.input.text) end
    if r.input.there then there() end
    error(r.input.text)
  end,
})

return { mark = mark, broken = broken, later = later, says = says }
