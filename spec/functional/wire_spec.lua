-- The wire contract of DESIGN 3 that other specs do not meet on their way.
local host = require "spec.support.host"
local nats = require "spec.support.nats"
local proc = require "spec.support.proc"

local TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

describe("the wire contract:", function()
  local stage, running

  setup(function()
    stage = host.stage {
      app = "spec/apps/wire",
      args = { "--unknown-grace", "100ms", "--retry-initial", "10ms", "--reply-prefixes", "replies.,deep.er." },
    }
    running = stage:start()
  end)

  teardown(function()
    host.close(stage)
  end)

  before_each(function()
    stage.db:exec "TRUNCATE audit, seen, rbf_results, rbf_dead_letters"
  end)

  local function settle()
    stage:settle { "jobs", "events" }
  end

  local function store(path, headers, data)
    return stage.client:store { subject = stage.prefix .. path, headers = headers, data = data or "null" }
  end

  -- Bytes as no client library would send them.
  local function send_raw(subject, headers, data)
    local block = "NATS/1.0\r\n" .. headers .. "\r\n"
    local path = proc.scratch() .. "/raw"
    proc.write_file(path, ('CONNECT {"verbose":false,"headers":true}\r\nHPUB %s %d %d\r\n%s%s\r\nPING\r\n')
      :format(subject, #block, #block + #data, block, data))
    local code, out = proc.run {
      "bash", "-c", [[exec 3<>"/dev/tcp/127.0.0.1/$0" && cat "$1" >&3 && grep -m1 -aE 'PONG|ERR' <&3]],
      stage.nats.port, path,
    }
    assert.equal(0, code)
    assert.truthy(out:find "PONG", out)
  end

  describe("replies", function()
    it("bear status, id in both spellings and the version; a body of JSON", function()
      local reply = stage:call("jobs.secret", 1, { id = "r1", headers = { Authorization = "ada" } })
      assert.equal("200", reply.headers["Status-Code"])
      assert.equal("r1", reply.headers["Request-Id"])
      assert.equal("r1", reply.headers["RBF-Request-Id"])
      assert.equal(running:log("worker ready")[1].version, reply.version)
      assert.equal("ada", reply.body.who)
    end)

    it("to errors hold code and message, and issues where there are some, nothing else", function()
      local function keys(reply)
        local list = {}
        for key in pairs(reply.body) do
          list[#list + 1] = key
        end
        table.sort(list)
        assert.truthy(reply.headers["Request-Id"])
        assert.truthy(reply.version)
        return table.concat(list, " ")
      end
      local unknown = stage:call("jobs.nowhere")
      assert.equal(404, unknown.status)
      assert.equal("code message", keys(unknown))
      local anonymous = stage:call("jobs.secret", 1)
      assert.equal(401, anonymous.status)
      assert.equal("UNAUTHORIZED", anonymous.body.code)
      assert.equal("code message", keys(anonymous))
      local invalid = stage:call("jobs.refused", { name = 1 })
      assert.equal(400, invalid.status)
      assert.equal("code issues message", keys(invalid))
      settle()
    end)

    it("go below the configured prefixes, and only below", function()
      local sub = stage.client:subscribe "replies.>"
      local deep = stage.client:subscribe "deep.>"
      for i, to in ipairs { "replies.mine.1", "deep.er.2", "replies", "replies2.x", "deep.3", "deep.er" } do
        store("jobs.get.1.x." .. i, { ["Reply-To"] = to })
      end
      local first, second = stage.client:next(sub, 30000), stage.client:next(deep, 30000)
      assert.equal(200, first and first.status)
      assert.equal(200, second and second.status)
      assert.equal("deep.er.2", second.subject)
      proc.eventually(function()
        return stage:count "rbf_dead_letters" == 4
      end, 10000, "four dead letters")
      assert.is_nil(stage.client:next(sub, 0))
      assert.is_nil(stage.client:next(deep, 0))
      settle()
    end)
  end)

  describe("a Reply-To that is refused", function()
    local function dead()
      return proc.eventually(function()
        return stage.db:query("SELECT error_code, subject, headers FROM rbf_dead_letters")[1]
      end, 10000, "a dead letter")
    end

    it("keeps its message from being executed: a mutation", function()
      store("jobs.secret", { ["Reply-To"] = "$JS.API.STREAM.PURGE.x", Authorization = "eve" })
      assert.equal("BAD_REPLY_TO", dead().error_code)
      assert.equal(0, stage:count "audit")
      settle()
    end)

    it("or a query", function()
      store("jobs.get.1.x.2", { ["Reply-To"] = stage.prefix .. "jobs.secret" })
      assert.equal("BAD_REPLY_TO", dead().error_code)
      assert.equal(0, stage:count "rbf_results") -- its id is nobody's outcome
      settle()
    end)

    it("may be the host's own inbox", function()
      local pulls = stage.client:subscribe "$JS.API.CONSUMER.MSG.NEXT.>"
      local pull
      proc.eventually(function()
        for _ = 1, 50 do stage:call("jobs.get.1.x.2") end -- one pull brings many
        pull = stage.client:next(pulls, 100)
        return pull
      end, 20000, "a pull request")
      assert.truthy(pull.reply:find "^_INBOX")
      for i, token in ipairs { pull.reply, pull.reply:match "^(.*)%." .. ".1", pull.reply:match "^(.*)%." } do
        store("jobs.secret", { ["Reply-To"] = token, Authorization = "eve" })
        proc.eventually(function()
          return stage:count "rbf_dead_letters" == i
        end, 10000, "a dead letter for " .. token)
      end
      assert.equal(0, stage:count "audit")
      settle()
    end)

    it("has wildcards, blanks or no end", function()
      for i, to in ipairs {
        "_INBOX.>", "_INBOX.*.x", "_INBOX..x", "_INBOX.x.", "_INBOX.\195\169", "_INBOX." .. ("x"):rep(1100),
      } do
        store("jobs.secret", { ["Reply-To"] = to, Authorization = "eve" })
        proc.eventually(function()
          return stage:count "rbf_dead_letters" == i
        end, 10000, "a dead letter for " .. to)
      end
      assert.equal(0, stage:count "audit")
      settle()
    end)
  end)

  describe("a stored reply", function()
    it("is given after the middleware has passed, whose writes are rolled back", function()
      local o = { id = "s1", headers = { Authorization = "ada" } }
      local first = stage:call("jobs.secret", 1, o)
      assert.equal(200, first.status)
      assert.equal(1, stage:count "audit")
      assert.equal(401, stage:call("jobs.secret", 1, { id = "s1" }).status)
      o.headers.Authorization = "bob"
      local again = stage:call("jobs.secret", 1, o)
      assert.equal(200, again.status)
      assert.same(first.body, again.body)
      assert.equal(1, stage:count "audit")
      assert.equal("ada", stage.db:value "SELECT who FROM audit")
    end)

    it("of an error, too", function()
      local o = { id = "s2", headers = { Authorization = "ada" } }
      assert.equal(409, stage:call("jobs.secret", '"refuse"', o).status)
      assert.equal(401, stage:call("jobs.secret", '"refuse"', { id = "s2" }).status)
      local again = stage:call("jobs.secret", '"refuse"', o)
      assert.equal(409, again.status)
      assert.equal("REFUSED", again.body.code)
      assert.equal(0, stage:count "audit")
    end)

    it("is not told to another request under its id, whoever asks", function()
      assert.equal(200, stage:call("jobs.secret", 1, { id = "s3", headers = { Authorization = "ada" } }).status)
      local other = stage:call("jobs.secret", 2, { id = "s3" })
      assert.equal(409, other.status)
      assert.is_nil(other.raw:find("ada", 1, true))
    end)
  end)

  describe("traceparent", function()
    local function seen()
      settle()
      return stage.db:query("SELECT * FROM seen ORDER BY params->>'name', attempt")
    end

    local function trace_of(row)
      return nats.decode(row.headers).traceparent
    end

    it("is carried to follow-ups, at once, later and tried again; their own goes first", function()
      local other = TRACE:gsub("b7ad", "ffff")
      stage:call("jobs.start", {
        { name = "a" }, { name = "b", after = 50 }, { name = "c", input = "again" },
        { name = "d", headers = { traceparent = other } },
      }, { headers = { traceparent = TRACE } })
      local rows = seen()
      assert.equal(4, #rows) -- what the first attempt of c wrote was rolled back
      for i, row in ipairs(rows) do
        assert.equal(i == 4 and other or TRACE, trace_of(row), row.params)
      end
      assert.equal("2", tostring(rows[3].attempt))
    end)

    it("survives a retry, with the other headers", function()
      stage:call("jobs.retried", nil, { id = "t1", headers = { traceparent = TRACE, ["X-Own"] = "é" } })
      local row = seen()[1]
      assert.equal(TRACE, trace_of(row))
      assert.equal("é", nats.decode(row.headers)["X-Own"])
      assert.equal("t1", row.request_id)
    end)
  end)

  describe("a path's parameters", function()
    local odd = { "a.b", "a b", "*", ">", "%", "é/ü", "$x", "a\tb", "'\"", ("x"):rep(200), "~-_", "日本" }

    it("reach follow-ups as they were given", function()
      local input = {}
      for i, name in ipairs(odd) do
        input[i] = { name = name }
      end
      assert.equal(200, stage:call("jobs.start", input).status)
      settle()
      local got, expected = {}, {}
      for i, row in ipairs(stage.db:query "SELECT params->>'name' AS name FROM seen") do
        got[i] = row.name
      end
      for i, name in ipairs(odd) do
        expected[i] = name
      end
      table.sort(got)
      table.sort(expected)
      assert.same(expected, got)
    end)

    it("are decoded whatever the hex digits' case; what is no encoding is another path", function()
      local reply = stage:call "jobs.get.%c3%A9%2e.x.a%2Fb!"
      assert.equal(200, reply.status)
      assert.same({ a = "é.", b = "a/b!" }, reply.body)
      for _, bad in ipairs { "%", "%2", "%zz", "%00", "%ff", "%c3" } do
        assert.equal(404, stage:call("jobs.get." .. bad .. ".x.1").status, bad)
      end
      settle()
    end)
  end)

  describe("line ends in headers", function()
    it("are refused from a handler", function()
      for _, case in ipairs {
        { "X", "a\r\nReply-To: b" }, { "X", "a\nb" }, { "X", "a\rb" }, { "X\r\nY", "a" }, { "X Y", "a" }, { "", "a" },
        { "Request-Id", "a" }, { "rbf-attempt", "a" }, { "Nats-Msg-Id", "a" }, { "Reply-To", "_INBOX.a" },
      } do
        local reply = stage:call("jobs.refused", { name = case[1], value = case[2] })
        assert.equal(200, reply.status, reply.raw)
        assert.is_false(reply.body.ok, case[1])
        assert.is_false(reply.body.also, case[1])
        assert.truthy(reply.body.message:find "header", reply.body.message)
        assert.is_nil(reply.body.message:find "\n")
      end
    end)

    it("from the wire stay where they came in", function()
      local inbox = stage.client:expect(function() end)
      for i, headers in ipairs {
        "RBF-Request-Id: a\nb%s\r\n", "RBF-Request-Id: a\rb%s\r\n", "RBF-Request-Id: a\1b%s\r\n",
        "RBF-Request-Id: ok%s\r\nX-Bad: a\rSome: b\r\n", "RBF-Request-Id: fine%s\r\nX-Bad: a\nSome: b\r\n",
      } do
        headers = headers:format(i) .. "Reply-To: " .. inbox .. "\r\n"
        send_raw(stage.prefix .. "jobs.retried", headers, "null")
        send_raw(stage.prefix .. "rpc.jobs.retried", headers, "null")
      end
      settle()
      for _, row in ipairs(stage.db:query "SELECT headers::text AS text FROM seen") do
        assert.is_nil(row.text:find("\\r", 1, true), row.text)
        assert.is_nil(row.text:find("\\u0001", 1, true), row.text)
      end
      for _, row in ipairs(stage.db:query "SELECT request_id FROM rbf_results") do
        assert.is_nil(row.request_id:find "%c")
      end
      assert.equal(200, stage:call("jobs.get.1.x.2").status)
      assert.equal(1, #running:log "worker ready")
    end)
  end)

  it("Target-At and Expires-At together: whichever comes first", function()
    local now = proc.epoch_ms()
    local function at(target, expires)
      return stage:call("jobs.secret", 1, {
        headers = {
          Authorization = "a", ["Target-At"] = ("%d"):format(now + target), ["Expires-At"] = ("%d"):format(now + expires),
        },
      })
    end
    assert.equal(200, at(200, 60000).status)
    assert.equal(410, at(400, 200).status)
    assert.equal(200, at(-5000, 60000).status)
    settle()
  end)

  it("the same id in another spelling is the same id", function()
    local headers = { Authorization = "ada" }
    local first = stage:call("jobs.secret", 1, { id = "spelt", headers = headers })
    headers["RBF-Request-Id"] = "spelt"
    local again = stage:call("jobs.secret", 1, { id = false, headers = headers })
    assert.same(first.body, again.body)
    headers["rbf-request-id"], headers["RBF-Request-Id"] = "spelt", nil
    assert.same(first.body, stage:call("jobs.secret", 1, { id = false, headers = headers }).body)
    assert.equal(1, stage:count "audit")
  end)
end)
