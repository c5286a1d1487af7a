--- rbf job:replay --dry-run: runs a request that had its outcome on today's code, in a transaction
--- that is rolled back, and says what came of it beside what happened then. docs/cli.md.
local host = require "rbf.host"
local failures = require "rbf.testing.failure"
local registry = require "rbf.registry"
local request = require "rbf.dryrun.request"
local writes = require "rbf.dryrun.writes"

local MAX_CONFLICTS = 10

local real_sql, real_ask = host.sql, host.ask

local function must(text)
  local ok, message = real_sql(text)
  if not ok then error(message or "the database cannot be asked here", 0) end
end

-- ---------------------------------------------------------------- what the handler may not

local function refuse_http()
  function host.ask(question, ...)
    if question == "http" then
      return false, "rbf.http is refused in a dry run, as nobody could take back what it does; --allow-http sends requests",
        "DRY_RUN"
    end
    return real_ask(question, ...)
  end
end

-- ---------------------------------------------------------------- one run

local function list(t) return setmetatable(t or {}, host.array_mt) end

local function bytes_of(hex)
  return (hex:gsub("%x%x", function(two) return string.char(tonumber(two, 16)) end))
end

--- What the scheduler and the cache were told, by kind.
local function sort_effects(text, report)
  for _, e in ipairs(host.decode(text)) do
    local op = e.op and registry.ops[e.op]
    if e.type == "cache" then
      table.insert(report.invalidated, e.subject)
    elseif e.type == "message" then
      table.insert(report.published, {
        subject = e.subject, payload = e.data and host.decode(e.data), raw = e.raw and #bytes_of(e.raw),
        headers = e.headers and host.decode(e.headers) or nil,
      })
    else
      table.insert(report.scheduled, {
        operation = op and op.queue .. "." .. op.path or nil, subject = e.subject,
        input = e.data and host.decode(e.data), headers = e.headers and host.decode(e.headers) or nil,
        at = e.at > 0 and e.at or nil, requestId = e.requestId or e.id,
      })
    end
  end
end

--- Of all that the transaction wrote, triggers and functions included; savepoints do not take back.
local counts = [[
SELECT relid::regclass::text AS "table", n_tup_ins AS inserted, n_tup_upd AS updated, n_tup_del AS deleted
FROM pg_stat_xact_user_tables WHERE n_tup_ins + n_tup_upd + n_tup_del > 0 ORDER BY 1]]

local function count_rows()
  if not real_sql(counts) then return nil end -- it is a courtesy
  return list((host.rows()))
end

local function succeeded(report, body, effects)
  local ok, message, sqlstate = real_sql "SET CONSTRAINTS ALL IMMEDIATE" -- as at COMMIT
  if not ok then return nil, failures.of_sql(message, sqlstate), sqlstate == "40001" or sqlstate == "40P01" end
  report.rows = count_rows()
  sort_effects(effects, report)
  return { status = 200, data = host.decode(body) }
end

local function run_once(r, report)
  for _, key in ipairs { "scheduled", "published", "invalidated" } do report[key] = list() end
  must "BEGIN ISOLATION LEVEL SERIALIZABLE"
  writes.begin()
  local ok, word, status, body, a, b, c, d, e = host.ask("test.run", r.subject, r.payload, r.headers_text, r.requestId, 1,
    host.now())
  report.writes = writes.finish()
  if not ok then error(word or "cannot wait here", 0) end
  local today, failure, again
  if word == "done" then
    today, failure, again = succeeded(report, body, a)
  elseif word == "conflict" then
    again = true
  elseif word == "unknown" then
    error(("no operation of today's code takes %s: was it renamed?"):format(r.subject), 0)
  else
    failure = failures.of_answer(status, body, a, b, c, d, e)
  end
  must "ROLLBACK"
  return today, failure, again
end

local function describe_failure(f)
  return {
    status = f.status, error = { code = f.code, message = f.message, issues = f.issues }, internal = f.internal,
    traceback = f.traceback ~= "" and f.traceback or nil, sqlstate = f.sqlstate, retryMs = f.retry_ms,
  }
end

--- true when it succeeded; report has all there is to say.
local function run(r, report)
  for _ = 1, MAX_CONFLICTS do
    local today, failure, again = run_once(r, report)
    if not again then
      report.today = today or describe_failure(failure)
      return today ~= nil
    end
  end
  report.today = { status = 500, error = { code = "CONCURRENCY_CONFLICT",
    message = "others were changing the same rows, 10 times in a row: try again" } }
  return false
end

-- ---------------------------------------------------------------- the command

--- args: what cmd_job_dry_run.c says, as JSON.
return function(_, _, args)
  local asked = host.decode(args[1])
  local r, report = request.read(asked)
  if not asked.allowHttp then refuse_http() end
  writes.watch()
  local ok, why = host.ask("test.connect", false)
  if not ok then error(why or "no database", 0) end
  local fine = run(r, report)
  if asked.json then
    io.write(assert(host.encode(report, "report")), "\n")
  else
    io.write(require("rbf.dryrun.text")(report))
  end
  host.finish(fine and 0 or 2)
end
