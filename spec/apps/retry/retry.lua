local rbf = require "rbf"
local z = rbf.z

local base = rbf.defineBackend { queues = { jobs = {}, events = {} } }
local app = base:middleware(function(r)
  if r.msg.headers["Authorization"] == "wrong" then
    rbf.fail { status = 401, code = "WHO_ARE_YOU", message = "That token is not known." }
  end
end)

-- A handler may be begun, up to the answer to its first statement, for a request that turns out to
-- have its outcome: it is given up then. So this counts at the second one.
local function count_run(r)
  r.db:one "SELECT 1"
  r.db:one "SELECT nextval('runs')"
end

-- Fails in its first `fail` attempts, in the way `how` says.
local flaky = app:mutation("jobs", {
  path = "flaky",
  input = z.object { fail = z.int(), how = z.string():default("error") },
  handler = function(r)
    count_run(r)
    if r.msg.attempt <= r.input.fail then
      if r.input.how == "retry" then
        rbf.retry { after = { ms = 300 }, message = "not yet" }
      elseif r.input.how == "delay" then
        r.scheduler:setRetryDelay { seconds = 5 }
        error "failed with a delay of its own"
      end
      error "boom"
    end
    return { attempt = r.msg.attempt, header = r.msg.headers["rbf-attempt"] }
  end,
})

-- Ends for good with the status that is asked for; each run has another message.
local refuse = app:mutation("jobs", {
  path = "refuse",
  input = z.object { status = z.int(), code = z.string() },
  handler = function(r)
    count_run(r)
    r.db:insert("notes", { text = "never committed " .. rbf.uuid() })
    rbf.fail { status = r.input.status, code = r.input.code, message = rbf.uuid() }
  end,
})

-- Runs the given statement and lets its error out.
local sql = app:mutation("jobs", {
  path = "sql",
  input = z.object { sql = z.string() },
  handler = function(r)
    count_run(r)
    r.db:exec(r.input.sql)
    return { ok = true }
  end,
})

-- The same statement, its error swallowed.
local swallow = app:mutation("jobs", {
  path = "swallow",
  input = z.object { sql = z.string() },
  handler = function(r)
    pcall(function()
      r.db:exec(r.input.sql)
    end)
    return { ok = true }
  end,
})

local badOutput = app:mutation("jobs", {
  path = "badOutput",
  output = z.object { id = z.string() },
  handler = function()
    return { id = 7 }
  end,
})

-- What a handler can leave behind in its session.
local state = app:query("jobs", {
  path = "state",
  handler = function(r)
    return r.db:one([[
      SELECT current_setting('work_mem') AS work_mem, NULLIF(current_setting('app.user', true), '') AS app_user,
        current_user::text AS role,
        (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()) AS locks,
        (SELECT count(*) FROM pg_class WHERE relname = 'leak' AND relnamespace = pg_my_temp_schema()) AS tables,
        (SELECT count(*) FROM pg_cursors WHERE is_holdable) AS cursors,
        (SELECT count(*) FROM pg_listening_channels()) AS channels]])
  end,
})

local broken = app:query("jobs", {
  path = "broken.query",
  handler = function()
    error "a query with a fault"
  end,
})

return {
  flaky = flaky, refuse = refuse, sql = sql, swallow = swallow, badOutput = badOutput,
  state = state, broken = broken,
}
