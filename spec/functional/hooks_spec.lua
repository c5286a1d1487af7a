-- Middleware's before, after and onError around mutations and queries, in a host on real servers.
local host = require "spec.support.host"
local nats = require "spec.support.nats"
local proc = require "spec.support.proc"

local function new_stage()
  return host.stage {
    app = "spec/apps/hooks", args = { "--max-attempts", "2", "--retry-initial", "10ms" },
  }
end

describe("hooks", function()
  local stage, running

  lazy_setup(function()
    stage = new_stage()
    running = stage:start()
  end)

  lazy_teardown(function()
    host.close(stage)
  end)

  before_each(function()
    stage.db:exec "TRUNCATE rbf_results, rbf_dead_letters, trail, parents, children, numbers; ALTER SEQUENCE runs RESTART"
  end)

  --- Calls jobs.<path>; o: id, on_error, after, token. The reply, and what onError was told.
  local function call(path, code, o)
    o = o or {}
    local id = o.id or nats.uuid()
    local reply = stage:call("jobs." .. path, { code = code }, {
      id = id, headers = { ["On-Error"] = o.on_error, After = o.after, Token = o.token },
    })
    local seen = running:log(function(line) return line.msg == "onError" and line.id == id end)
    return reply, seen
  end

  local function runs()
    return stage.db:value "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM runs"
  end

  local function stored(id)
    return stage.db:value("SELECT status FROM rbf_results WHERE request_id = $1", id)
  end

  local function logged(part)
    return running:await_log(function(line)
      return type(line.error) == "string" and line.error:find(part, 1, true)
    end, 3000)
  end

  describe("before", function()
    it("reads in the handler's transaction, and sees the input as it was sent", function()
      local reply = call("run", "return { r.ctx.name, r.ctx.raw.code == r.input.code, "
        .. "r.ctx.tx == r.db:one('SELECT txid_current()::text AS tx').tx }", { token = "t-ada" })
      assert.same({ "ada", true, true }, reply.body)
    end)

    it("answers the caller with rbf.fail, which is not stored", function()
      local reply, seen = call("run", "return 1", { token = "nobody's", id = "refused" })
      assert.equal(401, reply.status)
      assert.same({ code = "WHO", message = "Unknown token." }, reply.body)
      assert.equal(0, runs())
      assert.is_nil(stored "refused")
      assert.equal(1, #seen)
      assert.equal("permanent", seen[1].kind)
      assert.is_nil(seen[1].name)
    end)
  end)

  describe("after", function()
    it("is in the transaction, and may replace the result", function()
      local reply = call("run", "r.db:insert('trail', { what = 'handler' }) return 1", {
        after = "r.db:insert('trail', { what = 'after ' .. x }) return { was = x }", id = "after",
      })
      assert.same({ was = 1 }, reply.body)
      assert.same({ { what = "handler" }, { what = "after 1" } }, stage.db:query "SELECT what FROM trail ORDER BY id")
      assert.same({ was = 1 }, nats.decode(stage.db:value "SELECT data::text FROM rbf_results WHERE request_id = 'after'"))
    end)

    it("undoes everything when it fails", function()
      local reply, seen = call("run", "r.db:insert('trail', { what = 'handler' })", {
        after = "rbf.fail { status = 422, code = 'LATE' }",
      })
      assert.equal(422, reply.status)
      assert.equal("LATE", seen[1].code)
      assert.equal(0, stage:count "trail")
    end)

    it("is checked by the output schema", function()
      assert.equal(2, call("number", "return 1", { after = "return x + 1" }).body)
      local reply, seen = call("number", "return 1", { after = "return 'two'" })
      assert.equal(500, reply.status)
      assert.equal("output", seen[1].kind)
    end)

    it("works around queries", function()
      assert.equal(3, call("read", "return 1", { after = "return x + r.db:one('SELECT 2 AS n').n" }).body)
    end)
  end)

  describe("a stored reply", function()
    it("is given after the before parts alone", function()
      local o = { id = "twice", token = "t-ada", after = "rbf.log:info('after ran', { id = 'twice' }) return x + 1" }
      assert.equal(2, call("run", "return 1", o).body)
      assert.equal(2, call("run", "return 1", o).body)
      assert.equal(1, #running:log "after ran")
      o.token = "stolen"
      local reply, seen = call("run", "return 1", o)
      assert.equal(401, reply.status)
      assert.same({ 1, 401 }, { #seen, seen[1].status })
      o.on_error = "rbf.fail { status = 418, code = 'MAPPED', message = x.code }"
      reply = call("run", "return 1", o)
      assert.same({ 418, "WHO" }, { reply.status, reply.body.message })
      assert.same({ 200, 1 }, { stored "twice", runs() })
    end)
  end)

  -- name, operation, code, what onError is told (once for each attempt), attempts, runs of the handler
  local mapped = "rbf.fail { status = 418, code = 'MAPPED', message = x.kind .. ' ' .. x.code }"
  local failures = {
    { "an error", "run", "error 'boom'", { kind = "error", status = 500, name = "ada" }, 2, 2 },
    { "rbf.fail", "run", "rbf.fail { status = 409, code = 'NO' }", { kind = "permanent", status = 409, code = "NO" }, 1, 1 },
    { "rbf.retry", "run", "rbf.retry { after = { ms = 10 } }", { kind = "retry", status = 500 }, 2, 2 },
    { "an output", "number", "return 'x'", { kind = "output", status = 500 }, 2, 2 },
    { "an SQL error that is run again once", "run", "r.db:exec [[INSERT INTO trail VALUES (1, 'a'), (1, 'b')]]",
      { kind = "sql", status = 409, code = "CONFLICT", sqlstate = "23505" }, 1, 2 },
    { "another SQL error", "run", "r.db:exec 'SELECT 1/0'", { kind = "sql", status = 500, sqlstate = "22012" }, 2, 2 },
    { "a swallowed SQL error", "run", "pcall(function() r.db:exec 'SELECT 1/0' end)", { sqlstate = "22012" }, 2, 2 },
    { "a timeout in SQL", "short", "r.db:exec 'SELECT pg_sleep(30)'", { kind = "error", status = 500 }, 2, 2 },
    { "a timeout elsewhere", "short", "rbf.sleep { seconds = 30 }", { kind = "error", status = 500 }, 2, 2 },
    { "a foreign key at COMMIT", "run", "r.db:insert('children', { parent = 1 })",
      { kind = "sql", status = 400, code = "BAD_REQUEST", sqlstate = "23503" }, 1, 2 },
    { "a unique key at COMMIT", "run", "r.db:insert('numbers', { { n = 1 }, { n = 1 } })",
      { kind = "sql", status = 409, code = "CONFLICT", sqlstate = "23505" }, 1, 2 },
    { "a result that is too large", "run", "return ('x'):rep(2000000)",
      { kind = "permanent", status = 500, code = "PAYLOAD_TOO_LARGE" }, 1, 1 },
    { "a query's error", "read", "error 'boom'", { kind = "error", status = 500, name = "ada" }, 1, 0 },
    { "a query's rbf.fail", "read", "rbf.fail { status = 404 }", { kind = "permanent", code = "NOT_FOUND" }, 1, 0 },
    { "a query's write", "read", "r.db:exec [[INSERT INTO trail (what) VALUES ('x')]]", { sqlstate = "25006" }, 1, 0 },
    { "a query's timeout", "shortRead", "r.db:exec 'SELECT pg_sleep(30)'", { kind = "error" }, 1, 0 },
    { "a query's result that is too large", "read", "return ('x'):rep(2000000)", { code = "PAYLOAD_TOO_LARGE" }, 1, 0 },
  }
  for _, case in ipairs(failures) do
    local name, path, code, told, attempts, n_runs = unpack(case)
    describe("onError after " .. name, function()
      it("is told once for each attempt", function()
        local reply, seen = call(path, code, { token = "t-ada" })
        assert.equal(told.status or seen[1].status, reply.status, reply.raw)
        assert.equal(attempts, #seen)
        for i, line in ipairs(seen) do
          for key, value in pairs(told) do assert.equal(value, line[key], key) end
          assert.equal(i, line.attempt)
          assert.equal(code, line.code_seen)
        end
        assert.equal(n_runs, runs())
      end)

      it("may put an answer in its place", function()
        local id = "mapped " .. name
        local reply, seen = call(path, code, { on_error = mapped, id = id })
        assert.equal(418, reply.status, reply.raw)
        assert.equal("MAPPED", reply.body.code)
        assert.equal(seen[1].kind .. " " .. seen[1].code, reply.body.message)
        assert.equal(1, #seen)
        assert.equal(path:lower():find "read" == nil and 418 or nil, stored(id))
        assert.equal(0, stage:count "trail" + stage:count "children" + stage:count "numbers")
      end)
    end)
  end

  it("the session goes on after a constraint failed at COMMIT", function()
    for i = 1, 3 do
      assert.equal(400, call("run", "r.db:insert('children', { parent = 1 })").status)
      assert.equal(200, call("run", ("r.db:insert('children', { parent = %d }) r.db:insert('parents', { id = %d })")
        :format(i + 1, i + 1)).status)
    end
    assert.equal(3, stage:count "children")
  end)

  it("an input that does not fit is onError's as well, and not stored", function()
    local reply = stage:call("jobs.run", { code = 7 }, {
      id = "input", headers = { ["On-Error"] = "rbf.fail { code = 'BAD', message = x.issues[1].path[1] .. r.input.code }" },
    })
    assert.equal(400, reply.status)
    assert.same({ code = "BAD", message = "code7" }, reply.body)
    assert.is_nil(stored "input")
  end)

  it("what middleware refused is not stored, whatever it becomes", function()
    local reply = call("run", "return 1", { token = "stolen", id = "mapped 401", on_error = "rbf.fail { status = 404 }" })
    assert.equal(404, reply.status)
    assert.is_nil(stored "mapped 401")
  end)

  local conflict = "r.db:exec [[DO $$ BEGIN RAISE SQLSTATE '40001'; END $$]]"

  it("a conflict that is run again in place is nobody's error", function()
    local reply, seen = call("run", "if r.db:one('SELECT last_value AS n FROM runs').n < 4 then " .. conflict .. " end return 1")
    assert.equal(200, reply.status, reply.raw)
    assert.equal(0, #seen)
    assert.equal(4, runs())
  end)

  it("conflicts without end are", function()
    local reply, seen = call("run", conflict, { on_error = mapped })
    assert.equal("error CONCURRENCY_CONFLICT", reply.body.message)
    assert.equal(1, #seen)
    reply = call("read", conflict, { on_error = mapped })
    assert.equal("error CONCURRENCY_CONFLICT", reply.body.message)
  end)

  it("a stored answer that a hook made is given again without it", function()
    for _ = 1, 2 do
      assert.equal(418, call("run", "error 'boom'", { on_error = mapped, id = "again" }).status)
    end
    assert.equal(1, runs())
    assert.equal(0, stage:count "rbf_dead_letters")
    assert.matches("hooks%.lua:%d+: ", logged("boom'\"]:1: boom").error)
  end)

  it("a hook may ask for another attempt", function()
    local reply, seen = call("run", "if r.msg.attempt == 1 then rbf.fail { status = 409 } end return 'second'", {
      on_error = "rbf.retry { after = { ms = 10 } }",
    })
    assert.equal("second", reply.body)
    assert.equal(1, #seen)
  end)

  it("a hook that fails changes nothing, and says so", function()
    local reply = call("run", "rbf.fail { status = 409, code = 'NO' }", { on_error = "error 'in the hook'" })
    assert.equal("NO", reply.body.code)
    logged "in the hook"
    reply = call("run", "rbf.fail { status = 409, code = 'NO' }", { on_error = "return r.db:one 'SELECT 1'" })
    assert.equal("NO", reply.body.code)
    logged "onError runs after the rollback, without db"
  end)

  it("a hook may wait, but not for ever", function()
    assert.equal(418, call("run", "error 'boom'", { on_error = "rbf.sleep { ms = 20 } " .. mapped }).status)
    for _, path in ipairs { "short", "shortRead" } do
      local reply = call(path, "rbf.fail { status = 409, code = 'NO' }", { on_error = "rbf.sleep { seconds = 60 }" })
      assert.equal("NO", reply.body.code)
    end
    assert.equal(2, #running:log(function(line)
      return line.msg == "onError failed; the error stays as it was" and line.error:find "timeout"
    end))
  end)

  it("a hook that never ends is stopped", function()
    local its = new_stage()
    finally(function() its:close() end)
    its:start { args = { "--watchdog", "200ms" } } -- of CPU time, and before a busy machine's supervisor kills the worker
    local reply = its:call("jobs.run", { code = "rbf.fail { status = 409, code = 'NO' }" }, { headers = { ["On-Error"] = "while true do end" } })
    assert.equal("NO", reply.body.code)
    assert.equal(1, its:call("jobs.run", { code = "return 1" }).body)
  end)

  it("a dead letter has the error that stands, and the one it was", function()
    stage.client:store {
      subject = stage:subject("jobs", "run"), data = nats.json { code = "error 'boom'" },
      headers = { ["Request-Id"] = "letter", ["On-Error"] = mapped },
    }
    local dead = proc.eventually(function()
      return stage.db:query("SELECT * FROM rbf_dead_letters")[1]
    end, 10000, "a dead letter")
    assert.equal("MAPPED", dead.error_code)
    assert.matches("error INTERNAL_SERVER_ERROR %(onError made it of: .*boom", dead.error_message)
    assert.matches("hooks.lua:%d+: in", dead.error_traceback)
    assert.equal(1, runs())
    stage:settle { "jobs" }
  end)
end)

describe("a hook under way", function()
  local slow = "rbf.log:info 'hook waits' rbf.sleep { ms = %d } rbf.fail { status = 418 }"

  local function start(stage, ms)
    local running = stage:start()
    local request = stage.client:start {
      subject = stage:subject("jobs", "run"), data = { code = "rbf.fail { status = 409 }" },
      headers = { ["On-Error"] = slow:format(ms) },
    }
    running:await_log "hook waits"
    return running, request
  end

  it("is waited for by a host that drains", function()
    local stage = new_stage()
    finally(function() stage:close() end)
    local running, request = start(stage, 1500)
    assert.equal(0, running:stop())
    assert.equal(0, stage.client:wait_all({ request }))
    assert.equal(418, request.reply.status)
    assert.equal(0, (stage:stored "jobs"))
  end)

  it("that is killed is run again: nothing was acked", function()
    local stage = new_stage()
    finally(function() stage:close() end)
    local running, request = start(stage, 5000)
    running:kill_worker()
    assert.equal(0, stage.client:wait_all({ request }, 30000))
    assert.equal(418, request.reply.status)
    assert.equal(2, stage.db:value "SELECT last_value FROM runs")
    running:await_log("hook waits", 1000, 2)
  end)
end)

describe("modules", function()
  local app = [[
    local rbf = require "rbf"
    local hmac = require "openssl.hmac"
    local app = rbf.defineBackend { queues = { jobs = {} }, modules = { %s } }
    return { a = app:mutation("jobs", { path = "a", handler = function()
      return #hmac.new("key", "sha256"):final "x" + %d
    end }) }]]
  local stage

  after_each(function() host.close(stage) end)

  it("work in each generation", function()
    stage = host.stage { app = { ["app.lua"] = app:format('"openssl.hmac"', 0) } }
    stage:start { watch = true, workers = 2 }
    for i = 1, 3 do
      assert.equal(32 + i - 1, proc.eventually(function()
        local body = stage:call("jobs.a").body
        return body == 32 + i - 1 and body
      end, 10000, "generation " .. i))
      stage:write("app.lua", app:format('"openssl.hmac"', i))
    end
  end)

  it("that are not listed keep an edit from going live", function()
    stage = host.stage { app = { ["app.lua"] = app:format('"openssl"', 0) } }
    local running = stage:start { watch = true }
    stage:write("app.lua", app:format("", 1))
    local line = running:await_log(function(l) return l.level == "error" and (l.error or l.msg):find "openssl" end)
    assert.matches("app%.lua:2: 'openssl%.hmac' is not one of the app's files, and modules from elsewhere must be "
      .. "listed: add modules = { \"openssl%.hmac\" }", line.error or line.msg)
    assert.equal(32, stage:call("jobs.a").body)
  end)
end)
