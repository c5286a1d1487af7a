-- Plain NATS request-reply: rpc.<queue subject>.<path>.
local host = require "spec.support.host"
local nats = require "spec.support.nats"
local pg = require "spec.support.pg"
local proc = require "spec.support.proc"
local servers = require "spec.support.servers"

local APP = "spec/apps/rpc"
local LINGER = 300 -- for second messages that must not come

local function figures_of(times)
  table.sort(times)
  local function at(share)
    return times[math.max(1, math.ceil(#times * share))]
  end
  return at(0.5), at(0.99)
end

describe("plain requests", function()
  local stage, running, curious

  setup(function()
    stage = host.stage { app = APP }
    running = stage:start { workers = 2 }
    curious = nats.connect(stage.nats.url, { no_responders = true })
  end)

  teardown(function()
    if curious then
      curious:close()
    end
    host.close(stage)
  end)

  before_each(function()
    stage.db:exec "TRUNCATE things, rbf_results, rbf_dead_letters"
  end)

  local function rpc(path)
    return stage.prefix .. "rpc." .. path
  end

  local function ask(path, data, o)
    return stage.client:ask(rpc(path), data, o)
  end

  local function dropped()
    return #running:log(function(line)
      return line.msg:find("a plain request was dropped", 1, true) ~= nil
    end)
  end

  describe("for a query", function()
    it("are answered once, with the contract's headers", function()
      stage.db:exec [[INSERT INTO things VALUES ('a', '[1]', '')]]
      local reply = ask("jobs.things.get.a", nil, { linger = LINGER, headers = { ["Request-Id"] = "q1" } })
      assert.equal(200, reply.status, reply.raw)
      assert.same({ id = "a", value = { 1 } }, reply.body)
      assert.equal("q1", reply.headers["Request-Id"])
      assert.equal("q1", reply.headers["RBF-Request-Id"])
      assert.truthy(reply.version:match "^%x+$")
      assert.equal(1, reply.count)
    end)

    it("reach the literal path where a parameter matches too, and one handler only", function()
      local list = {}
      for i = 1, 40 do
        list[i] = { subject = rpc "jobs.things.get.all" }
      end
      local answers, missing = stage.client:ask_many(list, { linger = LINGER })
      assert.equal(0, missing)
      for _, reply in ipairs(answers) do
        assert.same({ n = 0 }, reply.body)
        assert.equal(1, reply.count)
      end
    end)

    it("are seen by the handler as any request", function()
      local reply = ask("jobs.see.a%2Eb.%C3%A9%20%2A", { 1, { x = nats.null } }, { headers = { ["X-Header"] = "h" } })
      assert.equal(200, reply.status, reply.raw)
      assert.same({ a = "a.b", b = "é *" }, reply.body.params)
      assert.same({ 1, { x = nats.null } }, reply.body.input)
      assert.equal("jobs.see.a%2Eb.%C3%A9%20%2A", reply.body.subject)
      assert.equal("h", reply.body.header)
      assert.equal(1, reply.body.attempt)
      assert.equal("query", reply.body.type)
      assert.equal(reply.headers["Request-Id"], reply.body.requestId)
      assert.truthy(reply.body.requestId:match "^%x+%-%x+%-7%x+%-%x+%-%x+$", reply.body.requestId)
    end)

    it("get errors in the contract's form", function()
      for _, case in ipairs {
        { "jobs.slow", '{"ms":"x"}', {}, 400, "BAD_REQUEST" },
        { "jobs.slow", "{", {}, 400, "BAD_REQUEST" },
        { "jobs.slow", '{"ms":1}', { ["Content-Type"] = "text/plain" }, 415, "UNSUPPORTED_MEDIA_TYPE" },
        { "jobs.slow", '{"ms":1}', { ["Expires-At"] = "1000" }, 410, "EXPIRED" },
        { "jobs.slow", '{"ms":1}', { ["Expires-At"] = "soon" }, 400, "BAD_REQUEST" },
        { "jobs.slow", '{"ms":1}', { ["Request-Id"] = ("x"):rep(201) }, 400, "BAD_REQUEST" },
        { "jobs.broken", "null", {}, 500, "INTERNAL_SERVER_ERROR" },
        { "jobs.broken", "null", { ["X-Fail"] = "1" }, 403, "NOT_YOURS" },
      } do
        local reply = ask(case[1], case[2], { headers = case[3] })
        assert.equal(case[4], reply.status, reply.raw)
        assert.equal(case[5], reply.body.code)
        assert.equal("string", type(reply.body.message))
        assert.is_nil(reply.raw:find "rpc.lua") -- nothing of the inside
        assert.truthy(#reply.headers["Request-Id"] <= 200)
      end
      assert.equal(0, stage:count "rbf_dead_letters")
    end)

    it("take about as long as the database does", function()
      local times = {}
      stage.db:exec [[INSERT INTO things VALUES ('b', '1', '')]]
      for i = 1, host.scaled(1000, 50) do
        local reply = ask "jobs.things.get.b"
        assert.equal(200, reply.status)
        times[i] = reply.ms
      end
      host.figures("rpc", "%d gets by one client, p50 %.2f ms, p99 %.2f ms", #times, figures_of(times))
    end)

    it("with a Target-At wait for it in the stream", function()
      local at = proc.epoch_ms() + 400
      local reply = ask("jobs.see.a.b", "1", { linger = LINGER, headers = { ["Target-At"] = ("%d"):format(at) } })
      assert.equal(200, reply.status, reply.raw)
      assert.truthy(proc.epoch_ms() >= at - 5)
      assert.equal(1, reply.count)
    end)
  end)

  describe("for a mutation", function()
    it("get the result, not the stream's PubAck, and one message", function()
      local reply = ask("jobs.things.put.x", { value = { 1 } }, { linger = LINGER })
      assert.equal(200, reply.status, reply.raw)
      assert.equal("x", reply.body.id)
      assert.equal(1, reply.count)
      assert.equal(reply.body.requestId, reply.headers["Request-Id"])
      assert.truthy(reply.body.requestId:match "^%x+%-%x+%-7%x+%-%x+%-%x+$", reply.body.requestId)
      assert.equal(1, stage:count "things")
      assert.equal(reply.body.requestId, stage.db:value "SELECT request_id FROM rbf_results")
      stage:settle { "jobs" }
    end)

    it("carry the caller's request id, in each spelling", function()
      local cases = {
        { { ["RBF-Request-Id"] = "i1", ["Request-Id"] = "no" }, "i1" },
        { { ["Request-Id"] = "i2", ["Nats-Msg-Id"] = "no" }, "i2" },
        { { ["Nats-Msg-Id"] = "i3" }, "Nats-Msg-Id->i3" },
      }
      for i, case in ipairs(cases) do
        local reply = ask("jobs.things.put.id" .. i, { value = i }, { headers = case[1] })
        assert.equal(200, reply.status, reply.raw)
        assert.equal(case[2], reply.body.requestId)
        assert.equal(case[2], reply.headers["RBF-Request-Id"])
      end
      stage:settle { "jobs" }
    end)

    it("asked twice under one id run once, and both callers are answered", function()
      local spellings = {
        { ["Request-Id"] = "same1" }, { ["Nats-Msg-Id"] = "same2" },
        { ["Request-Id"] = "same3", ["Nats-Msg-Id"] = "same3" },
      }
      for i, headers in ipairs(spellings) do
        local runs = stage.db:value "SELECT nextval('runs')"
        local list = {}
        for k = 1, 4 do
          list[k] = {
            subject = rpc("jobs.things.put.twice" .. i), data = { value = 1, ms = 50 }, headers = headers,
          }
        end
        local answers, missing = stage.client:ask_many(list, { linger = LINGER })
        assert.equal(0, missing, "spelling " .. i)
        answers[5] = stage.client:ask_many({ list[1] }, { linger = LINGER })[1] -- once more, later
        for k = 1, 5 do
          assert.equal(200, answers[k].status, answers[k].raw)
          assert.same(answers[1].body, answers[k].body)
          assert.equal(1, answers[k].count, "spelling " .. i)
        end
        -- twins in two workers may both have begun; the second's transaction was rolled back
        assert.truthy(stage.db:value "SELECT nextval('runs')" - runs <= 5)
      end
      assert.equal(3, stage:count "things")
      stage:settle { "jobs" }
    end)

    it("share ids with requests that go into the stream", function()
      local first = ask("jobs.things.put.s", { value = 1 }, { headers = { ["Request-Id"] = "both" } })
      local again = stage:call("jobs.things.put.s", { value = 1 }, { id = "both" })
      assert.equal(200, again.status)
      assert.same(first.body, again.body)
      local other = ask("jobs.things.put.s", { value = 2 }, { headers = { ["Request-Id"] = "both" } })
      assert.equal(409, other.status)
      assert.equal("REQUEST_ID_CONFLICT", other.body.code)
    end)

    it("get its errors", function()
      assert.equal(400, ask("jobs.things.put.e", '{"ms":"x"}').status)
      assert.equal(400, ask("jobs.things.put.e", "{").status)
      assert.equal(415, ask("jobs.things.put.e", "{}", { headers = { ["Content-Type"] = "text/xml" } }).status)
      assert.equal(410, ask("jobs.things.put.e", "{}", { headers = { ["Expires-At"] = "1000" } }).status)
      local long = ask("jobs.things.put.e", "{}", { headers = { ["Nats-Msg-Id"] = ("x"):rep(300) } })
      assert.equal(400, long.status)
      local refused = ask("jobs.refuse", nil, { linger = LINGER })
      assert.equal(409, refused.status)
      assert.same({ code = "NEVER", message = "never" }, refused.body)
      assert.equal(1, refused.count)
      stage:settle { "jobs" }
      assert.equal(0, stage:count "things")
      assert.equal(0, stage:count "rbf_dead_letters")
    end)

    it("do not hand the stream what was meant for the caller's own", function()
      local reply = ask("jobs.things.put.h", { value = 1 }, {
        headers = {
          ["Nats-Expected-Stream"] = "another", ["Nats-Expected-Last-Sequence"] = "77",
          ["Reply-To"] = "somewhere.else", ["Nats-Rollup"] = "all",
        },
      })
      assert.equal(200, reply.status, reply.raw)
    end)

    it("that its stream refuses are told 503, once", function()
      local stream = stage.client:stream_of(stage:subject("jobs", "x"))
      local config = stage.client:js("STREAM.INFO." .. stream).config
      config.max_msg_size = 600
      assert.is_nil(stage.client:js("STREAM.UPDATE." .. stream, config).error)
      finally(function()
        config.max_msg_size = -1
        stage.client:js("STREAM.UPDATE." .. stream, config)
      end)
      local reply = ask("jobs.things.put.big", { value = ("x"):rep(1000) }, { linger = LINGER })
      assert.equal(503, reply.status, reply.raw)
      assert.equal("UNAVAILABLE", reply.body.code)
      assert.equal(1, reply.count)
      assert.equal(0, stage:count "things")
    end)

    it("are stored once their stream is back", function()
      stage.client:js("STREAM.DELETE." .. stage.client:stream_of(stage:subject("jobs", "x")))
      local reply = ask("jobs.things.put.back", { value = 1 }, { timeout = 40000, linger = LINGER })
      assert.equal(200, reply.status, reply.raw)
      assert.equal(1, reply.count)
      assert.equal(1, stage:count "things")
    end)
  end)

  describe("for a path that nobody has", function()
    it("are told so by the server", function()
      assert.is_true(curious:has_responders(rpc "jobs.slow"))
      assert.is_true(curious:has_responders(rpc "other.ping"))
      assert.is_false(curious:has_responders(rpc "jobs.slo"))
      assert.is_false(curious:has_responders(rpc "jobs.slow.more"))
      assert.is_false(curious:has_responders(rpc "other.slow"))
      assert.is_false(curious:has_responders("rpc.jobs.slow"), "another prefix")
    end)

    it("with a token that is no percent-encoding get 404", function()
      local reply = ask "jobs.things.get.%zz"
      assert.equal(404, reply.status)
      assert.equal("NOT_FOUND", reply.body.code)
    end)
  end)

  describe("whose reply subject may not be written to", function()
    it("are not executed and not answered, but logged", function()
      local bad = {
        "evil.subject", stage:subject("jobs", "things.put.victim"), "_INBOX.a.$JS.b",
        "$JS.API.STREAM.DELETE.x", "_INBO.x", rpc "jobs.things.put.victim",
      }
      local all = stage.client:subscribe ">"
      for i, subject in ipairs(bad) do
        for _, path in ipairs { "jobs.things.put.bad" .. i, "jobs.slow" } do
          stage.client:publish { subject = rpc(path), reply = subject, data = '{"value":1,"ms":1}' }
        end
      end
      stage.client:publish { subject = rpc "jobs.things.put.none", data = '{"value":1}' }
      proc.eventually(function()
        return dropped() > 0
      end, 10000, "a log line")
      for _ = 1, 10 do -- on both workers: what came before has been looked at
        assert.equal(200, ask("jobs.things.put.marker" .. nats.uuid(), { value = 1 }).status)
      end
      stage:settle { "jobs" }
      assert.equal(10, stage:count "things")
      local m = stage.client:next(all, 0)
      while m do
        for _, subject in ipairs(bad) do
          -- what was asked is seen once, by its own subject; no answer may come to the others
          assert.falsy(m.subject == subject and m.status, subject)
        end
        m = stage.client:next(all, 0)
      end
    end)

    it("include the host's own inbox", function()
      -- a worker's pull requests show it to whoever may listen
      local pulls = stage.client:subscribe "$JS.API.CONSUMER.MSG.NEXT.>"
      local inbox
      proc.eventually(function()
        ask("jobs.things.put.p" .. nats.uuid(), { value = 1 })
        local m = stage.client:next(pulls, 100)
        inbox = m and m.reply
        return inbox
      end, 20000, "a pull request")
      local before, n = stage:count "things", dropped()
      local asked = 0
      -- the other worker does not know that inbox: it takes the request, as of any stranger's
      proc.eventually(function()
        asked = asked + 1
        stage.client:publish {
          subject = rpc("jobs.things.put.own" .. asked), reply = inbox, data = '{"value":1}',
        }
        return dropped() > n
      end, 10000, "the request to be dropped")
      stage:settle { "jobs" }
      assert.truthy(stage:count "things" - before < asked)
    end)
  end)

  it("are counted", function()
    assert.equal(0, running:stop())
    local s = running.stats
    assert.truthy(s.rpc > 100)
    assert.truthy(s.rpc_dropped >= 13, "dropped: " .. s.rpc_dropped)
    assert.equal(1, s.rpc_busy)
    assert.equal(0, s.rpc_unknown)
  end)
end)

describe("a host with plain requests", function()
  local stage

  local function rpc(path)
    return stage.prefix .. "rpc." .. path
  end

  local function many(n, path, data)
    local list = {}
    for i = 1, n do
      list[i] = { subject = rpc(path), data = data }
    end
    return list
  end

  local function by_status(answers)
    local counts = {}
    for _, reply in pairs(answers) do
      counts[reply.status] = (counts[reply.status] or 0) + 1
    end
    return counts
  end

  after_each(function()
    host.close(stage)
    stage = nil
  end)

  it("says 503 when it has too many in hand, and serves on", function()
    stage = host.stage { app = APP }
    stage:start { args = { "--max-rpc-waiting", "5" } }
    local answers, missing = stage.client:ask_many(many(12, "jobs.slow", { ms = 1000 }), { linger = LINGER })
    assert.equal(0, missing)
    assert.same({ [200] = 5, [503] = 7 }, by_status(answers))
    for _, reply in ipairs(answers) do
      assert.equal(1, reply.count)
      assert.truthy(reply.status == 200 or reply.body.code == "OVERLOADED", reply.raw)
    end
    assert.equal(200, stage.client:ask(rpc "jobs.slow", { ms = 1 }).status)
  end)

  it("runs twice as many side by side as it has connections, and the others in their turn", function()
    stage = host.stage { app = APP }
    stage:start { args = { "--connections", "1" } }
    local answers, missing = stage.client:ask_many(many(7, "jobs.slow", { ms = 300 }), { linger = LINGER })
    assert.equal(0, missing)
    assert.same({ [200] = 7 }, by_status(answers))
    local times = {}
    for i, reply in ipairs(answers) do
      times[i] = reply.ms
    end
    table.sort(times)
    assert.truthy(times[7] >= 1190, "seven of 300 ms, two at a time, took " .. times[7])
  end)

  it("takes requests for its own queues only", function()
    stage = host.stage { app = APP }
    local curious = nats.connect(stage.nats.url, { no_responders = true })
    finally(function()
      curious:close()
    end)
    stage:start { args = { "--queues", "other" } }
    assert.is_true(curious:has_responders(rpc "other.ping"))
    assert.is_false(curious:has_responders(rpc "jobs.slow"))
    local reply = stage.client:ask(rpc "other.ping")
    assert.equal("pong", reply.body)
  end)

  it("follows the app's paths through a reload", function()
    stage = host.stage { app = APP }
    local curious = nats.connect(stage.nats.url, { no_responders = true })
    finally(function()
      curious:close()
    end)
    local running = stage:start { workers = 2 }
    local text = proc.read_file(stage.app .. "/rpc.lua")
    local function reload(n, from, to)
      stage:write("rpc.lua", (text:gsub(from, to)))
      running.process:kill "HUP"
      running:await_log("reloaded", 20000, n)
    end
    assert.is_false(curious:has_responders(rpc "jobs.slow2"))
    reload(1, '"slow"', '"slow2"')
    assert.is_true(curious:has_responders(rpc "jobs.slow2"))
    assert.is_false(curious:has_responders(rpc "jobs.slow"))
    assert.equal(200, stage.client:ask(rpc "jobs.slow2", { ms = 1 }).status)
    reload(2, "nothing of it", "")
    assert.is_false(curious:has_responders(rpc "jobs.slow2"))
    local answers, missing = stage.client:ask_many(many(20, "jobs.slow", { ms = 1 }), { linger = LINGER })
    assert.equal(0, missing)
    assert.same({ [200] = 20 }, by_status(answers))
  end)

  it("hands over to another while it drains: each request is answered once", function()
    stage = host.stage { app = APP }
    local current = stage:start { workers = 2 }
    local asked, answers, twice, failed, missing = 0, 0, 0, 0, 0
    local function load(n)
      local list = many(n, "jobs.slow", { ms = 5 })
      for i = 1, n, 4 do
        list[i] = { subject = rpc("jobs.things.put." .. nats.uuid()), data = { value = i } }
      end
      local got, lost = stage.client:ask_many(list, { timeout = 20000 })
      asked, missing = asked + n, missing + lost
      for _, reply in pairs(got) do
        answers = answers + 1
        failed = failed + (reply.status == 200 and 0 or 1)
        twice = twice + (reply.count > 1 and 1 or 0)
      end
    end
    for _ = 1, 3 do
      local successor = stage:start { workers = 2 }
      current.process:kill "TERM"
      repeat
        load(40)
      until not current.process:alive()
      assert.equal(0, current:wait())
      load(40)
      current = successor
    end
    host.figures("rpc", "%d requests while hosts came and went", asked)
    assert.equal(0, missing, "requests without an answer")
    assert.equal(0, failed, "requests that failed")
    assert.equal(0, twice, "requests answered twice")
    assert.equal(asked / 4, stage:count "things")
  end)

  it("answers what it has in hand when it must end before that", function()
    stage = host.stage { app = APP }
    local running = stage:start { args = { "--shutdown-timeout", "300ms", "--connections", "1" } }
    -- the list is filled as answers come; two run, three wait for their turn
    local answers = stage.client:ask_many(many(5, "jobs.slow", { ms = 20000 }), { timeout = 2000 })
    assert.same({}, answers)
    local began = proc.now_ms()
    running.process:kill "TERM"
    assert.equal(0, running:wait())
    assert.truthy(proc.now_ms() - began < 15000)
    stage.client:pump_until(function()
      return #answers == 5
    end, 30000)
    stage.client:pump(LINGER)
    assert.same({ [503] = 5 }, by_status(answers))
    for _, reply in ipairs(answers) do
      assert.equal(1, reply.count)
    end
    assert.equal(5, running.stats.rpc_busy)
  end)

  it("finds its callers again after NATS was away", function()
    local server = servers.new_nats()
    stage = host.stage { app = APP, nats = server }
    finally(function()
      host.close(stage)
      stage = nil
      server:stop()
    end)
    local running = stage:start { workers = 2 }
    assert.equal(200, stage.client:ask(rpc "jobs.slow", { ms = 1 }).status)
    server:stop()
    server:start()
    running:await_log("NATS is back", 20000, 2)
    proc.eventually(function()
      return stage.client:connected()
    end, 20000, "the client to be connected again")
    local list = many(20, "jobs.slow", { ms = 1 })
    list[1] = { subject = rpc "jobs.things.put.after", data = { value = 1 } }
    local answers, missing = stage.client:ask_many(list, { linger = LINGER })
    assert.equal(0, missing)
    assert.same({ [200] = 20 }, by_status(answers))
    for _, reply in ipairs(answers) do
      assert.equal(1, reply.count)
    end
  end)

  it("answers 503 to queries while PostgreSQL is away, and the result when it is back", function()
    local postgres = servers.new_postgres()
    stage = host.stage { app = APP, postgres = postgres }
    finally(function()
      host.close(stage)
      stage = nil
      postgres:stop()
    end)
    stage:start { args = { "--connections", "2" } }
    assert.equal(200, stage.client:ask(rpc "jobs.things.get.a").status)
    stage.db:close()
    postgres:stop "INT"
    assert.equal(200, stage.client:ask(rpc "jobs.slow", { ms = 1 }).status) -- needs no database
    local answers, missing = stage.client:ask_many(many(10, "jobs.things.get.a"), {
      timeout = 30000, linger = LINGER,
    })
    assert.equal(0, missing)
    assert.same({ [503] = 10 }, by_status(answers))
    for _, reply in ipairs(answers) do
      assert.equal(1, reply.count)
    end
    postgres:start()
    stage.db = pg.connect(stage.db_url)
    proc.eventually(function()
      return stage.client:ask(rpc "jobs.things.get.a").status == 200
    end, 20000, "a query to be answered")
  end)
end)
