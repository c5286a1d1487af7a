--- One operation in the spec's transaction, as a host would run it.
local host = require "rbf.host"
local failures = require "rbf.testing.failure"
local http = require "rbf.testing.http"
local queue = require "rbf.testing.queue"
local raise = require("rbf.testing.blame").raise
local session = require "rbf.testing.session"

local _M = {}

local MAX_CONFLICTS = 10

local begin_query = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
local begin_mutation = "BEGIN ISOLATION LEVEL SERIALIZABLE"

local function begin(op, commit)
  if commit then
    session.must(op.type == "query" and begin_query or begin_mutation)
    return
  end
  session.must "SAVEPOINT rbf_run"
  if op.type == "query" then session.must "SET LOCAL transaction_read_only = on" end
end

local function undo(commit)
  if commit then
    session.must "ROLLBACK"
  else
    session.must "ROLLBACK TO SAVEPOINT rbf_run"
    session.must "RELEASE SAVEPOINT rbf_run"
  end
end

--- What a handler has set for itself must not reach the next one: SET LOCAL, roles.
local function reset(used)
  if used then
    session.must "RESET ALL"
    session.must "RESET ROLE"
    session.must "SET idle_in_transaction_session_timeout = 0"
  end
end

--- true; or false, message, sqlstate: nothing of it stands then.
local function finish(op, commit, touched)
  if commit then
    local ok, message, sqlstate = session.sql "COMMIT"
    return ok, message, sqlstate
  end
  if op.type == "query" then
    undo(false)
    return true
  end
  local ok, message, sqlstate = session.check_deferred()
  if not ok then
    undo(false)
    return false, message, sqlstate
  end
  reset(touched)
  session.must "RELEASE SAVEPOINT rbf_run"
  return true
end

local function with_context(op, overlay, fn)
  local backend = op.backend
  local before, flat = backend.context, backend.flat
  if overlay then
    local merged = {}
    for k, v in pairs(before) do merged[k] = v end
    for k, v in pairs(overlay) do merged[k] = v end
    backend.context, backend.flat = merged, nil
  end
  local results = { pcall(fn) }
  if overlay then backend.context, backend.flat = before, flat end
  if not results[1] then error(results[2], 0) end
  return unpack(results, 2, 12)
end

local function run_once(op, request, commit)
  begin(op, commit)
  local mark = queue.mark()
  http.begin(request.id)
  local ok, word, status, body, a, b, c, d, e = with_context(op, request.context, function()
    return host.ask("test.run", request.subject, request.input, request.headers, request.id, request.attempt or 1,
      require("rbf.testing.clock").now)
  end)
  if not ok then raise("%s", word or "specs cannot wait here") end
  if word == "done" then
    local done, message, sqlstate = finish(op, commit, b)
    if not done then
      queue.back(mark)
      return false, failures.of_sql(message, sqlstate), sqlstate == "40001" or sqlstate == "40P01"
    end
    if op.type == "mutation" then queue.take(host.decode(a), request) end
    return true, host.decode(body)
  end
  undo(commit)
  queue.back(mark)
  if word == "unknown" then raise("no operation has the subject '%s'", request.subject) end
  if word == "conflict" then return false, nil, true end
  return false, failures.of_answer(status, body, a, b, c, d, e)
end

--- true and the result, or false and the failure. request: { subject, input and headers as JSON, id,
--- attempt, context }.
function _M.run(op, request, commit)
  session.use(commit)
  require("rbf.testing.watch").uses((op.file:gsub(":%d+$", "")))
  for _ = 1, MAX_CONFLICTS do
    local ok, value, again = run_once(op, request, commit)
    local why = http.unexpected()
    if why then error(why, 0) end
    if not again then return ok, value end
  end
  return false, failures.new {
    kind = "error", status = 500, code = "CONCURRENCY_CONFLICT", message = "too many concurrent changes of the same rows",
    internal = "serialization failure, 10 times in a row",
  }
end

return _M
