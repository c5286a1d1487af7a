-- The signup flow of the documents, and the wire contract around it.
local host = require "spec.support.host"
local nats = require "spec.support.nats"
local proc = require "spec.support.proc"

describe("the signup app", function()
  local stage, running

  setup(function()
    stage = host.stage { app = "handlers", args = { "--unknown-grace", "200ms" } }
    running = stage:start()
  end)

  teardown(function()
    host.close(stage)
  end)

  before_each(function()
    stage.db:exec [[TRUNCATE users, emails, rbf_results, rbf_dead_letters]]
  end)

  local function create(data, o)
    return stage:call("jobs.users.create", data, o)
  end

  local function settle()
    stage:settle { "jobs", "events" }
  end

  local function only_row(table_name)
    local rows = stage.db:query("SELECT * FROM " .. table_name)
    assert.equal(1, #rows, "rows in " .. table_name)
    return rows[1]
  end

  describe("users.create", function()
    it("leaves a user, a result and one welcome mail", function()
      local reply = create({ email = "ada@example.com", name = "Ada" }, { id = "req-1" })
      assert.equal(200, reply.status, reply.raw)
      assert.equal("ada@example.com", reply.body.email)
      assert.equal("req-1", reply.headers["Request-Id"])
      assert.equal("req-1", reply.headers["RBF-Request-Id"])
      settle()
      local user = only_row "users"
      assert.equal(reply.body.id, user.id)
      local mail = only_row "emails"
      assert.equal(user.id, mail.user_id)
      assert.equal("Welcome, Ada!", mail.subject)
      local result = stage.db:query("SELECT * FROM rbf_results WHERE request_id = 'req-1'")[1]
      assert.equal("200", result.status)
      assert.equal(reply.version, result.code_version)
      assert.same(reply.body, nats.decode(result.data))
      assert.equal('{"email":"ada@example.com","name":"Ada"}',
        (result.requested_input:gsub('{"name":"Ada","email":"ada@example.com"}',
          '{"email":"ada@example.com","name":"Ada"}')))
      assert.equal(0, stage:count "rbf_dead_letters")
    end)

    it("gives one user and five equal replies to the same request sent five times", function()
      local first = create({ email = "eve@example.com", name = "Eve" }, { id = "five" })
      for _ = 2, 5 do
        local again = create({ name = "Eve", email = "eve@example.com" }, { id = "five" })
        assert.equal(200, again.status)
        assert.same(first.body, again.body)
      end
      settle()
      assert.equal(1, stage:count "users")
      assert.equal(1, stage:count "emails")
    end)

    it("gives one user and equal replies to twins under way at once", function()
      local requests = stage:start_many("jobs.users.create", 20, function()
        return { email = "twin@example.com", name = "Twin" }, "twins"
      end)
      assert.equal(0, stage.client:wait_all(requests))
      for _, request in ipairs(requests) do
        assert.equal(200, request.reply.status, request.reply.raw)
        assert.same(requests[1].reply.body, request.reply.body)
      end
      settle()
      assert.equal(1, stage:count "users")
      assert.equal(1, stage:count "emails")
    end)

    it("refuses the same id with another body", function()
      create({ email = "one@example.com", name = "One" }, { id = "reused" })
      local other = create({ email = "two@example.com", name = "Two" }, { id = "reused" })
      assert.equal(409, other.status)
      assert.equal("REQUEST_ID_CONFLICT", other.body.code)
      assert.equal(1, stage:count "users")
    end)

    it("answers a taken email with the handler's error, which is stored", function()
      create { email = "taken@example.com", name = "First" }
      local data = { email = "taken@example.com", name = "Second" }
      local refused = create(data, { id = "late" })
      assert.equal(409, refused.status)
      assert.equal("EMAIL_TAKEN", refused.body.code)
      assert.equal("User with this email already exists.", refused.body.message)
      settle() -- its mail is sent
      stage.db:exec "DELETE FROM emails; DELETE FROM users"
      assert.same(refused.body, create(data, { id = "late" }).body)
      assert.equal(409, stage.db:value "SELECT status FROM rbf_results WHERE request_id = 'late'")
      assert.equal(0, stage:count "users")
      settle()
    end)

    it("lets one of many win an email", function()
      local requests = stage:start_many("jobs.users.create", 30, function(i)
        return { email = "race@example.com", name = "Racer " .. i }
      end)
      assert.equal(0, stage.client:wait_all(requests))
      local won = 0
      for _, request in ipairs(requests) do
        if request.reply.status == 200 then
          won = won + 1
        else
          assert.equal(409, request.reply.status, request.reply.raw)
          assert.equal("EMAIL_TAKEN", request.reply.body.code)
        end
      end
      assert.equal(1, won)
      settle()
      assert.equal(1, stage:count "emails")
    end)
  end)

  describe("input", function()
    it("that is not valid names the path of each issue", function()
      local reply = create { email = "nonsense", name = "A" }
      assert.equal(400, reply.status)
      assert.equal("BAD_REQUEST", reply.body.code)
      local paths = {}
      for _, issue in ipairs(reply.body.issues) do
        paths[#paths + 1] = type(issue.path) == "table" and issue.path[1] or issue.path
      end
      table.sort(paths)
      assert.same({ "email", "name" }, paths)
      assert.equal(0, stage:count "users")
      assert.equal(0, stage:count "rbf_results")
    end)

    it("that is no JSON, or no UTF-8, is answered 400", function()
      for _, bytes in ipairs { "{", "", '{"email":"\255\254@x.y"}', '"\\u0000"', "\239\187\191null" } do
        local reply = create(bytes)
        assert.equal(400, reply.status, ("%q: %s"):format(bytes, reply.raw))
        assert.equal("BAD_REQUEST", reply.body.code)
      end
    end)

    it("of another Content-Type is answered 415", function()
      local data = { email = "ct@example.com", name = "Ct" }
      assert.equal(415, create(data, { headers = { ["Content-Type"] = "text/plain" } }).status)
      local fine = create(data, { headers = { ["Content-Type"] = "Application/JSON; charset=utf-8" } })
      assert.equal(200, fine.status)
      settle()
    end)

    it("that nobody waits for, and that is not valid, becomes a dead letter", function()
      stage.client:store {
        subject = stage:subject("jobs", "users.create"), data = '{"email":1}',
        headers = { ["Request-Id"] = "nobody" },
      }
      local dead = proc.eventually(function()
        return stage.db:query("SELECT * FROM rbf_dead_letters")[1]
      end, 10000, "a dead letter")
      assert.equal("nobody", dead.request_id)
      assert.equal("jobs", dead.queue)
      assert.truthy(dead.subject:find("users.create", 1, true))
      settle()
    end)
  end)

  describe("a query", function()
    it("is answered, without a result row", function()
      local user = create({ email = "q@example.com", name = "Query" }).body
      local results = stage:count "rbf_results"
      local reply = stage:call("jobs.users.get." .. user.id)
      assert.equal(200, reply.status)
      assert.same({ id = user.id, email = "q@example.com", name = "Query" }, reply.body)
      settle()
      assert.truthy(stage:count "rbf_results" <= results + 1) -- of the mail
    end)

    it("for a user who is not there gives null", function()
      local reply = stage:call "jobs.users.get.00000000-0000-4000-8000-000000000000"
      assert.equal(200, reply.status)
      assert.equal("null", reply.raw)
    end)

    it("decodes its path's parameters", function()
      local user = create({ email = "p@example.com", name = "Percent" }).body
      local reply = stage:call("jobs.users.get." .. user.id:gsub("-", "%%2D"))
      assert.equal(200, reply.status)
      assert.equal(user.id, reply.body.id)
      local bad = stage:call "jobs.users.get.not%2Ea%20uuid"
      assert.equal(400, bad.status) -- 22P02 of PostgreSQL
      assert.equal("BAD_REQUEST", bad.body.code)
      settle()
    end)
  end)

  it("answers 404 to a path it does not know", function()
    local reply = stage:call("jobs.users.crate", {})
    assert.equal(404, reply.status)
    assert.equal("NOT_FOUND", reply.body.code)
    settle()
  end)

  describe("headers", function()
    local data = { email = "h@example.com", name = "Header" }

    it("Reply-To outside the inboxes is refused, the message kept as a dead letter", function()
      local overheard = stage.client:subscribe "evil.subject"
      for i, subject in ipairs { "evil.subject", stage:subject("jobs", "users.create"), "_INBOX.*" } do
        stage.client:store {
          subject = stage:subject("jobs", "users.create"), data = nats.json(data),
          headers = { ["Request-Id"] = "evil" .. i, ["Reply-To"] = subject },
        }
      end
      proc.eventually(function()
        return stage:count "rbf_dead_letters" == 3
      end, 10000, "three dead letters")
      assert.equal(0, stage:count "users")
      assert.is_nil(stage.client:next(overheard, 100))
      settle()
    end)

    it("Reply-To in the form of the TypeScript client is accepted", function()
      local inbox = "_INBOX_" .. nats.uuid()
      local sub = stage.client:subscribe(inbox .. ".*")
      stage.client:store {
        subject = stage:subject("jobs", "users.create"), data = nats.json(data),
        headers = { ["Nats-Msg-Id"] = inbox .. ".1", ["Reply-To"] = inbox .. ".1" },
      }
      local reply = stage.client:next(sub, 30000)
      assert.equal(200, reply.status)
      assert.equal("Nats-Msg-Id->" .. inbox .. ".1", reply.headers["Request-Id"])
      settle()
    end)

    it("Expires-At in the past is answered 410", function()
      local late = create(data, { headers = { ["Expires-At"] = ("%d"):format(proc.epoch_ms() - 1000) } })
      assert.equal(410, late.status)
      assert.equal("EXPIRED", late.body.code)
      assert.equal(0, stage:count "users")
      local early = create(data, { headers = { ["Expires-At"] = ("%d"):format(proc.epoch_ms() + 60000) } })
      assert.equal(200, early.status)
      settle()
    end)

    it("Target-At puts a request off", function()
      local at = proc.epoch_ms() + 700
      local reply = create(data, { headers = { ["Target-At"] = ("%d"):format(at) } })
      assert.equal(200, reply.status)
      assert.truthy(proc.epoch_ms() >= at - 5, "answered before its time")
      settle()
      assert.equal(1, stage:count "emails")
    end)

    it("name the request: RBF-Request-Id, else Request-Id, else Nats-Msg-Id, else the message", function()
      local function id_of(n, headers)
        local body = { email = "id" .. n .. "@example.com", name = "Id" }
        local request = stage.client:start {
          subject = stage:subject("jobs", "users.create"), data = body, id = false, headers = headers,
        }
        assert.equal(0, stage.client:wait_all({ request }))
        assert.equal(200, request.reply.status, request.reply.raw)
        return request.reply.headers["Request-Id"], request
      end
      assert.equal("a", (id_of(1, { ["RBF-Request-Id"] = "a", ["Request-Id"] = "b" })))
      assert.equal("b", (id_of(2, { ["Request-Id"] = "b", ["Nats-Msg-Id"] = "c" })))
      assert.equal("Nats-Msg-Id->d", (id_of(3, { ["Nats-Msg-Id"] = "d" })))
      local id, request = id_of(4)
      local stream, seq = id:match("^(.+):(%d+):%d+$")
      assert.equal(request.ack.stream, stream)
      assert.equal(request.ack.seq, tonumber(seq))
      settle()
    end)

    it("with an impossible request id are answered 400 under another", function()
      local reply = create(data, { id = ("x"):rep(201) })
      assert.equal(400, reply.status)
      assert.equal(0, stage:count "users")
      assert.truthy(reply.headers["Request-Id"]:match("^.+:%d+:%d+$"), reply.headers["Request-Id"])
    end)
  end)

  it("ends cleanly and says what it did", function()
    settle()
    assert.equal(0, running:stop())
    local s = running.stats
    assert.truthy(s.done > 10, "done: " .. tostring(s.done))
    -- follow-ups go out at once, by the host that committed them; the sweeper is for what is due later
    assert.truthy(s.published > 0, "published: " .. tostring(s.published))
    assert.truthy(s.swept <= s.parked, "swept: " .. tostring(s.swept))
    host.figures("signup", "done %d, conflicts %d, naks %d, parked %d, duplicates %d", s.done, s.conflicts,
      s.naks, s.parked, s.duplicates or -1)
  end)
end)
