-- Failures: what is tried again, what is stored, what becomes a dead letter.
local host = require "spec.support.host"
local proc = require "spec.support.proc"

describe("a handler", function()
  local stage

  lazy_setup(function()
    stage = host.stage {
      app = "spec/apps/retry",
      args = { "--max-attempts", "4", "--retry-initial", "10ms", "--unknown-grace", "200ms" },
    }
    stage:start()
  end)

  lazy_teardown(function()
    host.close(stage)
  end)

  before_each(function()
    stage.db:exec "TRUNCATE rbf_results, rbf_dead_letters, notes CASCADE; ALTER SEQUENCE runs RESTART"
  end)

  local function runs()
    return stage.db:value "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM runs"
  end

  local function settle()
    stage:settle { "jobs", "events" }
  end

  local function await_dead()
    return proc.eventually(function()
      return stage.db:query("SELECT * FROM rbf_dead_letters")[1]
    end, 15000, "a dead letter")
  end

  describe("that fails", function()
    it("is run again until it works; attempts travel in RBF-Attempt", function()
      local reply = stage:call("jobs.flaky", { fail = 2 }, { id = "third" })
      assert.equal(200, reply.status, reply.raw)
      assert.same({ attempt = 3, header = "3" }, reply.body)
      assert.equal("third", reply.headers["Request-Id"])
      settle()
      assert.equal(3, runs())
      assert.equal(0, stage:count "rbf_dead_letters")
      assert.equal(1, stage:count "rbf_results")
    end)

    it("waits in the outbox between its attempts", function()
      local request = stage.client:start {
        subject = stage:subject("jobs", "flaky"), data = { fail = 1, how = "delay" }, id = "parked",
      }
      local row = proc.eventually(function()
        return stage.db:query("SELECT * FROM rbf_outbox")[1]
      end, 5000, "an outbox row")
      assert.equal("request", row.type)
      assert.equal("parked", row.source_request_id)
      assert.truthy(row.headers:find('"RBF%-Attempt": *"2"'), row.headers)
      assert.truthy(tonumber(row.target_at) > proc.epoch_ms())
      proc.eventually(function() return stage:stored "jobs" == 0 end, 5000, "the ack") -- behind the COMMIT
      assert.equal(1, stage:count "rbf_outbox")
      assert.equal(0, stage.client:wait_all({ request }))
      assert.equal(2, request.reply.body.attempt)
      assert.truthy(request.reply.at - request.sent_at >= 4990, "setRetryDelay{seconds=5} was not kept")
      settle()
    end)

    it("with rbf.retry{after} waits that long", function()
      local began = proc.now_ms()
      local reply = stage:call("jobs.flaky", { fail = 1, how = "retry" })
      assert.equal(200, reply.status, reply.raw)
      assert.equal(2, reply.body.attempt)
      assert.truthy(reply.at - began >= 295, ("came after %d ms"):format(reply.at - began))
    end)

    it("too often is answered 500 and becomes a dead letter", function()
      local reply = stage:call("jobs.flaky", { fail = 99 }, { id = "hopeless" })
      assert.equal(500, reply.status)
      assert.equal("INTERNAL_SERVER_ERROR", reply.body.code)
      assert.is_nil(reply.raw:find "boom", "the inner error leaked to the caller")
      local dead = await_dead()
      assert.equal("hopeless", dead.request_id)
      assert.equal("4", dead.attempts)
      assert.truthy(dead.error_message:find "boom")
      assert.truthy(dead.error_traceback:find("retry.lua:", 1, true))
      settle()
      assert.equal(4, runs())
      assert.equal(500, stage.db:value "SELECT status FROM rbf_results WHERE request_id = 'hopeless'")
      -- A dead letter is an outcome: asked again, it is given again.
      assert.equal(500, stage:call("jobs.flaky", { fail = 99 }, { id = "hopeless" }).status)
      assert.equal(4, runs())
      assert.equal(1, stage:count "rbf_dead_letters")
    end)

    it("that returns what its output schema refuses ends the same way", function()
      assert.equal(500, stage:call("jobs.badOutput").status)
      assert.truthy(await_dead().error_message:find "id")
      settle()
    end)

    it("in a query is answered at once, without a dead letter", function()
      local reply = stage:call "jobs.broken.query"
      assert.equal(500, reply.status)
      settle()
      assert.equal(0, stage:count "rbf_dead_letters")
      assert.equal(0, stage:count "rbf_outbox")
    end)
  end)

  describe("that calls rbf.fail", function()
    for _, case in ipairs {
      { 400, true }, { 404, true }, { 409, true }, { 422, true },
      { 401, false }, { 403, false }, { 408, false }, { 425, false }, { 429, false },
    } do
      local status, stored = case[1], case[2]
      it(("with %d is %s"):format(status, stored and "stored" or "answered, not stored"), function()
        local data, id = { status = status, code = "MY_CODE" }, "refused" .. status
        local first = stage:call("jobs.refuse", data, { id = id })
        local second = stage:call("jobs.refuse", data, { id = id })
        assert.equal(status, first.status)
        assert.equal(status, second.status)
        assert.equal("MY_CODE", first.body.code)
        if stored then
          assert.same(first.body, second.body)
        else
          assert.not_same(first.body, second.body)
        end
        settle()
        assert.equal(stored and 1 or 2, runs())
        assert.equal(stored and 1 or 0, stage:count "rbf_results")
        assert.equal(0, stage:count "notes")
        assert.equal(0, stage:count "rbf_dead_letters")
      end)
    end

    it("while nobody waits leaves a dead letter", function()
      stage.client:store {
        subject = stage:subject("jobs", "refuse"), data = '{"status":409,"code":"ALONE"}',
        headers = { ["Request-Id"] = "alone" },
      }
      local dead = await_dead()
      assert.equal("alone", dead.request_id)
      assert.equal("ALONE", dead.error_code)
      settle()
    end)
  end)

  describe("in middleware", function()
    local wrong = { Authorization = "wrong" }

    it("rbf.fail is answered and not stored", function()
      local reply = stage:call("jobs.flaky", { fail = 0 }, { headers = wrong })
      assert.equal(401, reply.status)
      assert.equal("WHO_ARE_YOU", reply.body.code)
      settle()
      assert.equal(0, runs())
      assert.equal(0, stage:count "rbf_results")
    end)

    it("guards stored replies as well", function()
      assert.equal(200, stage:call("jobs.flaky", { fail = 0 }, { id = "mine" }).status)
      assert.equal(401, stage:call("jobs.flaky", { fail = 0 }, { id = "mine", headers = wrong }).status)
      assert.equal(200, stage:call("jobs.flaky", { fail = 0 }, { id = "mine" }).status)
      settle()
      assert.equal(1, runs())
    end)
  end)

  describe("with an error of PostgreSQL", function()
    it("23505 is run once more in place, then 409", function()
      stage.db:exec "INSERT INTO notes VALUES ('there')"
      local reply = stage:call("jobs.sql", { sql = "INSERT INTO notes VALUES ('there')" })
      assert.equal(409, reply.status)
      assert.equal("CONFLICT", reply.body.code)
      settle()
      assert.equal(2, runs())
      assert.equal(0, stage:count "rbf_dead_letters")
    end)

    it("23503 and 22P02 are 400", function()
      local reply = stage:call("jobs.sql", { sql = "INSERT INTO owned VALUES ('nobody''s')" })
      assert.equal(400, reply.status)
      assert.equal("BAD_REQUEST", reply.body.code)
      assert.equal(400, stage:call("jobs.sql", { sql = "SELECT 'x'::uuid" }).status)
      settle()
    end)

    it("a syntax error is tried again, then dead", function()
      assert.equal(500, stage:call("jobs.sql", { sql = "SELEC 1" }).status)
      assert.truthy(await_dead().error_message:find "SELEC")
      settle()
      assert.equal(4, runs())
    end)

    it("that was swallowed outside a savepoint still dooms the transaction", function()
      local reply = stage:call("jobs.swallow", { sql = "SELECT 1/0" })
      assert.not_equal(200, reply.status)
      settle()
      assert.equal(0, stage.db:value "SELECT count(*) FROM rbf_results WHERE status = 200")
    end)

    it("COMMIT by a handler does not pass", function()
      local reply = stage:call("jobs.sql", { sql = "COMMIT" })
      assert.not_equal(200, reply.status)
      settle()
      assert.equal(200, stage:call("jobs.flaky", { fail = 0 }).status)
    end)
  end)

  it("whose path nobody knows and nobody waits for ends as a dead letter", function()
    stage.client:store {
      subject = stage:subject("jobs", "nowhere"), data = "{}", headers = { ["Request-Id"] = "lost" },
    }
    assert.equal("lost", await_dead().request_id)
    settle()
  end)
end)

describe("a handler that breaks its connection", function()
  local stage

  before_each(function()
    stage = host.stage {
      app = "spec/apps/retry", args = { "--max-attempts", "2", "--retry-initial", "10ms" },
    }
    stage:start()
  end)

  after_each(function()
    host.close(stage)
  end)

  for _, case in ipairs {
    { "COPY TO STDOUT", "COPY notes TO STDOUT" },
    { "COPY FROM STDIN", "COPY notes FROM STDIN" },
    { "the end of its own backend", "SELECT pg_terminate_backend(pg_backend_pid())" },
  } do
    it("(" .. case[1] .. ") ends like any that fails", function()
      local reply = stage:call("jobs.sql", { sql = case[2] }, { timeout = 30000 })
      assert.equal(500, reply.status, reply.raw)
      stage:settle { "jobs" }
      assert.equal(1, stage:count "rbf_dead_letters")
      assert.equal(200, stage:call("jobs.flaky", { fail = 0 }).status)
    end)
  end
end)

describe("what a handler does to its session", function()
  local stage

  setup(function()
    stage = host.stage { app = "spec/apps/retry", args = { "--connections", "1" } }
    stage:start()
  end)

  teardown(function()
    host.close(stage)
  end)

  local function state()
    return stage:call("jobs.state").body
  end

  for _, case in ipairs {
    { "a setting", "SET work_mem = '7MB'" },
    { "set_config", "SELECT set_config('app.user', 'mallory', false)" },
    { "an advisory lock", "SELECT pg_advisory_lock(4711)" },
    { "a temporary table", "CREATE TEMP TABLE leak (x int)" },
    { "a cursor that outlives its transaction", "DECLARE c CURSOR WITH HOLD FOR SELECT 1" },
    { "a role", "SET ROLE pg_monitor" },
  } do
    it("(" .. case[1] .. ") does not reach the next task", function()
      local before = state()
      assert.equal(200, stage:call("jobs.sql", { sql = case[2] }).status)
      assert.same(before, state())
    end)
  end
end)
