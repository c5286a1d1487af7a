-- What the log tells of requests: one line at each end, by which a request id can be followed.
local host = require "spec.support.host"
local proc = require "spec.support.proc"

local app = [[
local rbf = require "rbf"
local z = rbf.z
local app = rbf.defineBackend { queues = { jobs = {} } }
return {
  add = app:mutation("jobs", { path = "add.$what", input = z.any(), handler = function(r)
    r.db:query "SELECT pg_sleep(0.02)"
    return r.params.what
  end }),
  read = app:query("jobs", { path = "read", input = z.number(), handler = function(r)
    if r.input < 0 then error("no token=abc123 of that") end
    return r.db:one "SELECT 1 AS n".n
  end }),
  refuse = app:mutation("jobs", { path = "refuse", handler = function()
    rbf.fail { status = 422, code = "NEVER", message = "I never do that" }
  end }),
  second = app:mutation("jobs", { path = "second", input = z.any(), handler = function(r)
    r.ctx.log:info("at work", { attempt = r.msg.attempt })
    if r.msg.attempt == 1 then rbf.retry { after = { hours = 1 }, message = "not the first time" } end
    return "done"
  end }),
  talk = app:mutation("jobs", { path = "talk", input = z.any(), handler = function(r)
    rbf.log:info("said", { password = "hunter2", pin = 7, hasPassword = true, iban = "DE1", header = r.msg.headers,
      nested = { list = { { apiKey = "k-1" } } }, text = "Authorization: Bearer abc.def",
      url = "nats://secret@host:1" })
    error "it broke, password: hunter2"
  end }),
}
]]

describe("the log", function()
  local stage

  local function start(o)
    stage = host.stage { app = { ["app.lua"] = app }, args = { "--max-attempts", "2" } }
    return stage:start(o)
  end

  after_each(function()
    host.close(stage)
    stage = nil
  end)

  -- The lines of one request, of all hosts, one after the other.
  local function lines_of(id, want)
    local found = {}
    for _, running in ipairs(stage.hosts) do
      for _, line in ipairs(running:log(function(l) return l.request_id == id end)) do
        if not want or line.msg == want then found[#found + 1] = line end
      end
    end
    return found
  end

  local function await(id, msg)
    return proc.eventually(function()
      return lines_of(id, msg)[1]
    end, 20000, function()
      return ("'%s' of %s; the host said:\n%s"):format(msg, id, stage.hosts[1]:tail())
    end)
  end

  it("has one line for each request, with what operators ask for", function()
    local running = start()
    local reply = stage:call("jobs.add.x", "1", { id = "one" })
    local line = await("one", "done")
    assert.equal("info", line.level)
    assert.equal("done", line.outcome)
    assert.equal(200, line.status)
    assert.equal("jobs.add.$what", line.operation)
    assert.equal(stage:subject("jobs", "add.x"), line.subject)
    assert.equal(1, line.attempt)
    assert.equal(1, line.generation)
    assert.equal(reply.version, line.version)
    assert.is_true(line.db_ms >= 20 and line.duration_ms >= line.db_ms, ("%s %s"):format(line.db_ms, line.duration_ms))
    assert.matches("^%d+%-%d%d%-%d%dT", line.time)

    stage:call("jobs.add.x", "1", { id = "one" })
    assert.equal("duplicate", await("one", "duplicate").outcome)
    stage:call("jobs.add.y", "1", { id = "one" })
    line = await("one", "refused")
    assert.equal(409, line.status)
    assert.equal("REQUEST_ID_CONFLICT", line.code)

    stage:call("jobs.read", "1", { id = "q" })
    line = await("q", "done")
    assert.is_true(line.db_ms > 0)
    stage:call("jobs.read", "-1", { id = "bad" })
    line = await("bad", "query failed")
    assert.equal("error", line.level)
    assert.equal("failed", line.outcome)
    assert.equal(500, line.status)
    stage:call("jobs.read", '"x"', { id = "invalid" })
    assert.equal(400, await("invalid", "refused").status)

    stage:call("jobs.refuse", "null", { id = "no" })
    line = await("no", "failed")
    assert.equal(422, line.status)
    assert.equal("NEVER", line.code)
    assert.equal("info", line.level)
    stage.client:store { subject = stage:subject("jobs", "refuse"), data = "null", headers = { ["Request-Id"] = "dies" } }
    line = await("dies", "dead letter")
    assert.equal("dead", line.outcome)
    assert.equal("error", line.level)
    assert.equal(0, (running:stop()))
    for _, id in ipairs { "q", "bad", "invalid", "no", "dies" } do
      assert.equal(1, #lines_of(id), id)
    end
  end)

  it("lets the life of a message be followed, from worker to worker", function()
    local first = start { args = { "--log-level", "debug" } }
    stage.client:store {
      subject = stage:subject("jobs", "second"), data = "null", headers = { ["Request-Id"] = "life" },
    }
    local parked = await("life", "will be tried again")
    assert.equal("retry", parked.outcome)
    assert.equal("warn", parked.level)
    assert.is_true(parked.retry_at > proc.epoch_ms() - 60000)
    assert.equal(0, (first:stop()))
    stage.db:exec "UPDATE rbf_outbox SET target_at = created_at"
    stage:start { args = { "--log-level", "debug" } }
    await("life", "done")
    local told = {}
    for _, line in ipairs(lines_of "life") do
      told[#told + 1] = ("%s %s"):format(line.msg, line.attempt or "-")
      assert.is_true(line.subject == stage:subject("jobs", "second") or line.operation == "jobs.second")
    end
    assert.equal("taken 1, at work 1, will be tried again 1, publishing -, taken 2, at work 2, done 2",
      table.concat(told, ", "))
    local pids = {}
    for _, line in ipairs(lines_of "life") do pids[line.pid] = true end
    assert.is_truthy(next(pids, next(pids)), "two workers")
  end)

  describe("--log-sample", function()
    -- FNV-1a, as in host/core/tasklog.c: all hosts of a namespace tell of the same requests.
    local function in_sample(id, n)
      local hash = 2166136261
      for i = 1, #id do
        local low = bit.bxor(hash % 65536, id:byte(i))
        local high = math.floor(hash / 65536)
        hash = (low * 16777619 + (high * 16777619 % 65536) * 65536) % 4294967296
      end
      return hash % n == 0
    end

    it("tells of one in N that went well, and of all that did not", function()
      local running = start { args = { "--log-sample", "3" } }
      local ids, expected = {}, {}
      for i = 1, 30 do
        ids[i] = "sample-" .. i
        expected[ids[i]] = in_sample(ids[i], 3) or nil
        stage:call("jobs.add.x", "1", { id = ids[i] })
        stage:call("jobs.refuse", "null", { id = "no-" .. i })
      end
      running:stop()
      local told, refused = {}, 0
      for _, line in ipairs(running:log "done") do told[line.request_id] = true end
      for _ in ipairs(running:log "failed") do refused = refused + 1 end
      assert.same(expected, told)
      assert.equal(30, refused)
      local n = 0
      for _ in pairs(told) do n = n + 1 end
      assert.is_true(n > 2 and n < 20, n .. " of 30")
    end)

    it("0 tells of none, but of those that had trouble", function()
      local running = start { args = { "--log-sample", "0" } }
      stage:call("jobs.add.x", "1", { id = "well" })
      stage.client:store {
        subject = stage:subject("jobs", "second"), data = "null", headers = { ["Request-Id"] = "trouble" },
      }
      await("trouble", "will be tried again")
      stage.db:exec "UPDATE rbf_outbox SET target_at = created_at"
      await("trouble", "done")
      running:stop()
      assert.equal(0, #lines_of "well")
      assert.equal(2, await("trouble", "done").attempt)
    end)
  end)

  it("hides secrets, in values and in texts", function()
    local running = start { args = { "--log-redact", "iban,x-pin" } }
    stage.client:store {
      subject = stage:subject("jobs", "talk"), data = "null",
      headers = { ["Request-Id"] = "talk", Authorization = "Bearer abc.def", ["X-Kept"] = "yes" },
    }
    local line = await("talk", "said")
    local hidden = "[redacted]"
    assert.equal(hidden, line.password)
    assert.is_true(line.hasPassword)
    assert.equal(7, line.pin)
    assert.equal(hidden, line.iban)
    assert.equal(hidden, line.nested.list[1].apiKey)
    assert.equal("Authorization: " .. hidden, line.text)
    assert.equal("nats://" .. hidden .. "@host:1", line.url)
    assert.equal(hidden, line.header.Authorization)
    assert.equal("yes", line.header["X-Kept"])
    await("talk", "will be tried again")
    stage:call("jobs.read", "-1", { id = "bad" })
    assert.matches("no token=[redacted] of that", await("bad", "query failed").error, 1, true)
    running:stop()
    for _, secret in ipairs { "hunter2", "abc.def", "abc123", "k%-1", "DE1", "secret@" } do
      assert.is_nil(proc.read_file(running.log_path):find(secret), secret)
    end
  end)

  it("is for people with --log-format pretty", function()
    local running = start { args = { "--log-format", "pretty" }, no_wait = true }
    proc.eventually(function()
      return (proc.read_file(running.log_path) or ""):find "worker ready"
    end, 20000, "a worker")
    stage:call("jobs.add.x", "1", { id = "one" })
    running:stop()
    local text = proc.read_file(running.log_path)
    assert.matches("\n%d%d:%d%d:%d%d%.%d+ info  done  request_id=one operation=jobs.add.$what subject=", text)
    assert.is_nil(text:find("\27", 1, true))
  end)
end)
