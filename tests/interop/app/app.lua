-- Our side of the test: what the package's client calls, and one end of each follow-up.
local rbf = require "rbf"
local z = rbf.z

local app = rbf.defineBackend { queues = { jobs = {} } }

local put = app:mutation("jobs", {
  path = "things.put.$id",
  input = z.object { text = z.string():min(2) },
  output = z.object { id = z.string(), text = z.string() },
  handler = function(r)
    if r.db:one("SELECT 1 FROM things WHERE id = $1", r.params.id) then
      rbf.fail { status = 409, code = "CONFLICT", message = "taken" }
    end
    return r.db:insert("things", { id = r.params.id, text = r.input.text })
  end,
})

local get = app:query("jobs", {
  path = "things.get.$id",
  handler = function(r)
    return r.db:one("SELECT id, text FROM things WHERE id = $1", r.params.id)
  end,
})

-- A follow-up on a queue of theirs, which this app does not know: by its path.
local relay = app:mutation("jobs", {
  path = "relay",
  input = z.object { number = z.int() },
  handler = function(r)
    r.scheduler:enqueue("theirs.notes.add", { input = { number = r.input.number } })
    r.scheduler:runAfter({ ms = 300 }, "theirs.notes.add", { input = { number = 1000 + r.input.number } })
  end,
})

local note = app:mutation("jobs", {
  path = "note",
  input = z.object { number = z.int() },
  handler = function(r)
    r.db:insert("ours", { number = r.input.number })
  end,
})

return { put = put, get = get, relay = relay, note = note }
