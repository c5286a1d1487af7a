-- Jobs that wait, and handlers that cancel them.
local rbf = require "rbf"
local z = rbf.z

local app = rbf.defineBackend { queues = { jobs = {} } }

local job = app:mutation("jobs", {
  path = "job",
  input = z.string(),
  handler = function(r)
    r.db:exec("INSERT INTO ran VALUES ($1)", r.input)
  end,
})

local later = app:mutation("jobs", {
  path = "later",
  input = z.object { what = z.string(), ms = z.int(), id = z.string():optional() },
  handler = function(r)
    return r.scheduler:runAfter({ ms = r.input.ms }, job, { input = r.input.what, id = r.input.id })
  end,
})

local cancel = app:mutation("jobs", {
  path = "cancel",
  input = z.object { id = z.string(), hold = z.int():default(0), fail = z.boolean():default(false) },
  handler = function(r)
    local cancelled = r.scheduler:cancel(r.input.id)
    rbf.sleep { ms = r.input.hold }
    if r.input.fail then rbf.fail { status = 409, code = "NO" } end
    return cancelled
  end,
})

-- What one run does with its own jobs.
local own = app:mutation("jobs", {
  path = "own",
  handler = function(r)
    local s, result = r.scheduler, {}
    local gone = s:enqueue(job, { input = "gone" })
    s:enqueue(job, { input = "twice", id = "twice" })
    s:enqueue(job, { input = "twice", id = "twice" })
    local back = s:enqueue(job, { input = "back" })
    s:runAfter({ ms = 1 }, job, { input = "again", id = "again" })
    result[1] = s:cancel(gone)
    result[2] = s:cancel(gone)
    result[3] = s:cancel "twice"
    r.db:savepoint(function()
      result[4] = s:cancel(back)
      error "undone"
    end)
    result[5] = s:cancel "again"
    s:enqueue(job, { input = "again", id = "again" })
    return result
  end,
})

-- Enqueues what may be waiting already, and cancels it.
local both = app:mutation("jobs", {
  path = "both",
  input = z.string(),
  handler = function(r)
    local id = r.scheduler:runAfter({ hours = 1 }, job, { input = "second", id = r.input })
    return r.scheduler:cancel(id)
  end,
})

return { job = job, later = later, cancel = cancel, own = own, both = both }
