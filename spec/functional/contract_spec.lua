-- What any NATS client may rely on (README, "Sending messages"), where no other spec has it.
local cjson = require "cjson"
local host = require "spec.support.host"
local proc = require "spec.support.proc"

local TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

describe("the wire contract:", function()
  local stage, running

  lazy_setup(function()
    stage = host.stage {
      app = {
        ["app.lua"] = [[
          local rbf = require "rbf"
          local app = rbf.defineBackend { queues = { jobs = {} } }
          local open = true
          local guarded = app:middleware(function(r)
            if r.msg.headers["Authorization"] ~= "let me in" then
              rbf.fail { status = 401, code = "WHO", message = "who are you?" }
            end
            r.db:exec("INSERT INTO seen VALUES ('middleware')")
          end)
          local second = app:mutation("jobs", {
            path = "second",
            handler = function(r)
              r.db:exec("INSERT INTO seen VALUES ($1)", r.msg.headers["traceparent"] or "none")
            end,
          })
          local first = guarded:mutation("jobs", {
            path = "first",
            handler = function(r)
              r.scheduler:enqueue(second)
              r.db:exec("INSERT INTO seen VALUES ('first')")
              return { run = true }
            end,
          })
          return { first = first, second = second }
        ]],
        ["migrations/001_seen.sql"] = "CREATE TABLE seen (what TEXT);",
      },
    }
    running = stage:start()
  end)

  lazy_teardown(function()
    host.close(stage)
  end)

  before_each(function()
    stage:settle { "jobs" } -- what the one before has left
    stage.db:exec "TRUNCATE seen"
  end)

  local function seen()
    stage:settle { "jobs" }
    return stage.db:value "SELECT COALESCE(string_agg(what, ' ' ORDER BY what), '') FROM seen"
  end

  local function first(id, headers)
    return stage:call("jobs.first", "null", { id = id, headers = headers })
  end

  it("a reply names the request, its status and the code that answered", function()
    local reply = first("h1", { Authorization = "let me in" })
    assert.equal("200", reply.headers["Status-Code"])
    assert.equal("h1", reply.headers["Request-Id"])
    assert.equal("h1", reply.headers["RBF-Request-Id"])
    assert.equal(running:log("worker ready")[1].version, reply.headers["RBF-Code-Version"])
    assert.equal(reply.headers["RBF-Code-Version"],
      stage.db:value "SELECT code_version FROM rbf_results WHERE request_id = 'h1'")
  end)

  it("traceparent goes on to follow-ups", function()
    first("t1", { Authorization = "let me in", traceparent = TRACE })
    assert.equal(TRACE .. " first middleware", seen())
  end)

  it("what is no header's value does not hold a follow-up up", function()
    first("t2", { Authorization = "let me in", traceparent = "a\1b" })
    assert.equal("first middleware none", seen())
  end)

  it("a stored reply is given only to who passes the middleware again, whose writes are undone", function()
    assert.equal(200, first("s1", { Authorization = "let me in" }).status)
    assert.equal("first middleware none", seen())
    local refused = first("s1")
    assert.same({ 401, "WHO" }, { refused.status, refused.body.code })
    local again = first("s1", { Authorization = "let me in" })
    assert.same({ 200, { run = true } }, { again.status, again.body })
    assert.equal("first middleware none", seen())
  end)

  it("Target-At in the future is an outbox row, which can be cancelled", function()
    stage.client:store {
      subject = stage:subject("jobs", "second"), data = "null",
      headers = { ["Request-Id"] = "later", ["Target-At"] = ("%d"):format(proc.epoch_ms() + 600000) },
    }
    local row = proc.eventually(function()
      return stage.db:query("SELECT * FROM rbf_outbox")[1]
    end, 10000, "the row")
    assert.is_nil(cjson.decode(row.headers)["Target-At"])
    assert.equal(0, (host.rbf("job:cancel", "later", "--database-url", stage.db_url)))
    assert.equal("", seen())
  end)
end)
