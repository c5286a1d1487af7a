local rbf = require "rbf"
local z = rbf.z
local app = rbf.defineBackend { queues = { jobs = {}, single = { group = 1 } } }

local ran = app:mutation("jobs", {
  path = "ran",
  input = z.object { what = z.string() },
  handler = function(r)
    r.db:insert("ran", { what = r.input.what, by = r.msg.requestId })
    return "ran"
  end,
})

-- The ways in which one request may differ from its neighbours.
local ways = {}

function ways.plain() end

function ways.refuse_first()
  rbf.fail { status = 409, code = "FIRST", message = "before any statement" }
end

function ways.refuse_later(r, note)
  note(r)
  rbf.fail { status = 422, code = "LATER", message = "after one" }
end

function ways.refuse_last(r, note)
  note(r)
  r.db:one "SELECT 1"
  rbf.fail { status = 422, code = "LAST", message = "after two" }
end

function ways.copy(r, note)
  note(r)
  r.db:query "COPY notes TO STDOUT"
end

function ways.taken(r)
  r.db:insert("notes", { i = r.input.i, code = "taken" })
end

function ways.caught(r)
  local ok = r.db:savepoint(function()
    r.db:insert("notes", { i = r.input.i, code = "taken" })
  end)
  assert(not ok)
end

function ways.nowait(r) -- somebody else has it
  local ok, err = r.db:savepoint(function()
    r.db:one "SELECT 1 FROM accounts WHERE id = 1 FOR UPDATE NOWAIT"
  end)
  assert(not ok and err.sqlstate == "55P03")
end

function ways.boom(r, note)
  note(r)
  error "boom"
end

function ways.orphan(r) -- found at COMMIT
  r.db:insert("owned", { i = r.input.i })
end

function ways.setting(r)
  r.db:exec "SET LOCAL my.setting = 'leaked'"
end

function ways.pause()
  rbf.sleep { ms = 5 }
end

function ways.slow(r)
  r.db:one "SELECT pg_sleep(0.4)"
end

function ways.enqueue(r)
  r.scheduler:enqueue(ran, { input = { what = "one" }, id = "the one" })
  r.scheduler:enqueue(ran, { input = { what = tostring(r.input.i) } })
end

local function note(r)
  r.db:exec("INSERT INTO notes (i, setting) VALUES ($1, current_setting('my.setting', true))", r.input.i)
end

local mixed = app:mutation("jobs", {
  path = "mixed",
  input = z.object { i = z.int(), how = z.string() },
  retry = { maxAttempts = 2, initial = { ms = 10 } },
  handler = function(r)
    ways[r.input.how](r, note)
    note(r)
    return { i = r.input.i }
  end,
})

-- Ends after one statement, until it is asked for a second.
local once = app:mutation("jobs", {
  path = "once",
  input = z.object { i = z.int(), twice = z.boolean():optional() },
  handler = function(r)
    note(r)
    if r.input.twice then r.db:one("SELECT count(*) FROM notes WHERE i = $1", r.input.i) end
    return { i = r.input.i }
  end,
})

local single = app:mutation("single", {
  path = "once",
  input = z.object { i = z.int() },
  handler = once.handler,
})

local transfer = app:mutation("jobs", {
  path = "transfer",
  input = z.object { from = z.int(), to = z.int() },
  handler = function(r)
    r.db:exec("UPDATE accounts SET balance = balance - 1 WHERE id = $1", r.input.from)
    r.db:exec("UPDATE accounts SET balance = balance + 1 WHERE id = $1", r.input.to)
    return "moved"
  end,
})

return { ran = ran, mixed = mixed, once = once, single = single, transfer = transfer }
