-- queue:list, queue:inspect, outbox:list, job:show: what people see of a running app.
local host = require "spec.support.host"
local proc = require "spec.support.proc"
local cjson = require "cjson"

local app = [[
local rbf = require "rbf"
local z = rbf.z
local app = rbf.defineBackend { queues = { jobs = {}, mail = { concurrency = 1 } } }
local send = app:mutation("mail", { path = "send", input = z.any(), handler = function(r)
  r.db:query "SELECT pg_advisory_xact_lock(7)"
  return "sent"
end })
return {
  send = send,
  add = app:mutation("jobs", { path = "add.$what", input = z.any(), handler = function(r)
    if r.params.what == "bad" then rbf.fail { status = 422, code = "BAD", message = "no good" } end
    if r.params.what == "broken" then error "it broke" end
    return { what = r.params.what }
  end }),
  later = app:mutation("jobs", { path = "later", input = z.any(), handler = function(r)
    return r.scheduler:runAfter({ hours = 2 }, send, { input = { to = "ada" } })
  end }),
}
]]

describe("looking at a running app:", function()
  local stage, lock

  setup(function()
    stage = host.stage {
      app = { ["app.lua"] = app }, args = { "--max-attempts", "2", "--retry-initial", "1h", "--retry-max", "1h" },
    }
    stage:start()
    lock = require("spec.support.pg").connect(stage.db_url)
  end)

  teardown(function()
    if lock then lock:close() end
    host.close(stage)
  end)

  after_each(function()
    stage.db:exec "DELETE FROM rbf_outbox"
    stage:settle({ "jobs", "mail" }, 20000)
    stage.db:exec "DELETE FROM rbf_results; DELETE FROM rbf_dead_letters"
  end)

  --- exit code, stdout, stderr of a command that is told of the servers, not of the app's settings.
  local function rbf(command, ...)
    local words = { command, ... }
    local options = type(words[#words]) == "table" and table.remove(words) or {}
    for _, word in ipairs {
      "--database-url", stage.db_url, "--nats-url", stage.nats.url, "--subject-prefix", stage.prefix,
    } do
      words[#words + 1] = word
    end
    options.cwd = stage.dir
    words[#words + 1] = options
    return host.rbf(unpack(words))
  end

  -- With the app at hand, whose folder is the default one's name.
  setup(function()
    assert(proc.run { "ln", "-s", stage.app, stage.dir .. "/handlers" } == 0)
  end)

  local function json(...)
    local words = { ... }
    words[#words + 1] = "--json"
    local code, out, err = rbf(unpack(words))
    return cjson.decode(out), code, err
  end

  local function store(queue, path, data, id, headers)
    headers = headers or {}
    headers["Request-Id"] = id
    stage.client:store { subject = stage:subject(queue, path), data = data, headers = headers }
  end

  local function by_queue()
    local found = {}
    for _, row in ipairs((json "queue:list")) do found[row.queue] = row end
    return found
  end

  -- Mails that cannot go on while `fn` runs.
  local function held(fn)
    lock:exec "SELECT pg_advisory_lock(7)"
    local ok, why = pcall(fn)
    lock:exec "SELECT pg_advisory_unlock(7)"
    if not ok then error(why, 0) end
  end

  local function await_letter(n)
    proc.eventually(function() return stage:count "rbf_dead_letters" == n end, 20000, "dead letters")
  end

  describe("queue:list", function()
    it("counts what waits, runs, is delayed, dead and done", function()
      held(function()
        for i = 1, 3 do store("mail", "send", "null", "m" .. i) end
        stage:call("jobs.add.x", "1")
        stage:call("jobs.later", "1")
        store("jobs", "add.bad", "1", "dead")
        await_letter(1)
        local found = proc.eventually(function()
          local rows = by_queue()
          return rows.mail.inFlight == 1 and rows.mail.pending == 2 and rows
        end, 20000, "one mail under way, two behind it")
        assert.equal(1, found.mail.delayed)
        assert.equal(0, found.mail.dead)
        assert.is_true(math.abs(found.mail.oldestAt - proc.epoch_ms()) < 60000)
        assert.equal(1, found.jobs.dead)
        assert.equal(0, found.jobs.pending)
        assert.equal(cjson.null, found.jobs.oldestAt)
        assert.equal(0.05, found.jobs.ratePerSecond) -- 3 in the last minute
        local code, out, err = rbf "queue:list"
        assert.equal(0, code, err)
        assert.matches("^QUEUE +PENDING +IN FLIGHT +DELAYED +DUE +DEAD +RATE/S +OLDEST\n", out)
        assert.matches("\njobs +0 +0 +0 +0 +1 +0.05\n", out)
        assert.matches("\nmail +2 +1 +1 +0 +0 +0.00 +%d+m?s ago\n", out)
      end)
    end)

    it("knows the queues without the app's files", function()
      local code, out = rbf("queue:list", "--json", { env = { RBF_NAMESPACE = "default" } })
      assert.equal(0, code)
      os.rename(stage.dir .. "/handlers", stage.dir .. "/away")
      local _, bare, err = rbf("queue:list", "--json")
      os.rename(stage.dir .. "/away", stage.dir .. "/handlers")
      assert.equal("", err)
      local function names(text)
        local list = {}
        for _, row in ipairs(cjson.decode(text)) do
          -- other specs' streams may be in the same server
          if row.subjects:sub(1, #stage.prefix) == stage.prefix then list[#list + 1] = row.queue end
        end
        table.sort(list)
        return list
      end
      assert.same({ "jobs", "mail" }, names(out))
      assert.same({ "jobs", "mail" }, names(bare))
    end)

    it("counts all that is stored where no host has been since NATS started", function()
      local name = (stage.prefix .. "idle"):gsub("%.", "_")
      assert.is_nil(stage.client:js("STREAM.CREATE." .. name, {
        name = name, subjects = { stage.prefix .. "idle.>" }, retention = "workqueue", description = "rbf namespace default",
      }).error)
      finally(function() stage.client:js("STREAM.DELETE." .. name) end)
      for i = 1, 2 do store("idle", "run", "null", "idle" .. i) end
      local row = by_queue()[name]
      assert.equal(2, row.pending)
      assert.equal(0, row.inFlight)
      assert.equal(stage.prefix .. "idle.>", row.subjects)
      local seen = json("queue:inspect", name)
      assert.equal("idle1 idle2", seen.messages[1].requestId .. " " .. seen.messages[2].requestId)
      assert.is_false(seen.messages[1].inFlight)
    end)

    it("says which server is away", function()
      local code, _, err = host.rbf("queue:list", "--database-url", stage.db_url, "--nats-url", "nats://127.0.0.1:1",
        { cwd = stage.dir })
      assert.equal(1, code)
      assert.matches("127.0.0.1:1", err, 1, true)
      code, _, err = host.rbf("queue:list", { cwd = stage.dir })
      assert.equal(1, code)
      assert.matches("rbf dev", err, 1, true)
    end)
  end)

  describe("queue:inspect", function()
    it("lists the messages and what the outbox holds for them", function()
      held(function()
        store("mail", "send", '{"to":"ada"}', "first")
        proc.eventually(function() return by_queue().mail.inFlight == 1 end, 20000, "the first under way")
        store("mail", "send", "[1]", "second", { ["X-Kept"] = "yes" })
        stage:call("jobs.later", "1")
        local seen = json("queue:inspect", "mail")
        assert.equal("mail", seen.queue)
        assert.equal(2, #seen.messages)
        assert.equal("first", seen.messages[1].requestId)
        assert.is_true(seen.messages[1].inFlight)
        assert.same({ to = "ada" }, seen.messages[1].payload)
        assert.equal("second", seen.messages[2].requestId)
        assert.is_false(seen.messages[2].inFlight)
        assert.equal("yes", seen.messages[2].headers["X-Kept"])
        assert.equal(stage:subject("mail", "send"), seen.messages[2].subject)
        assert.equal(1, #seen.outbox)
        assert.equal("waiting", seen.outbox[1].state)
        local code, out = rbf("queue:inspect", "mail")
        assert.equal(0, code)
        assert.matches("in flight +" .. stage.prefix .. "mail.send +1 +%d+m?s ago +first", out)
        assert.matches("pending .* second +%[1%]", out)
        local _, _, more = rbf("queue:inspect", "mail", "--limit", "1")
        assert.matches("more than these 1: --limit N", more, 1, true)
      end)
    end)

    it("--dead lists the dead letters", function()
      store("jobs", "add.bad", '"payload"', "dead1")
      store("jobs", "add.bad", "not JSON", "dead2")
      await_letter(2)
      local rows = json("queue:inspect", "jobs", "--dead")
      assert.equal(2, #rows)
      local found = { [rows[1].requestId] = rows[1], [rows[2].requestId] = rows[2] }
      assert.equal("BAD", found.dead1.code)
      assert.equal("payload", found.dead1.payload)
      assert.equal("not JSON", found.dead2.payload)
      local code, out = rbf("queue:inspect", "jobs", "--dead")
      assert.equal(0, code)
      assert.matches("dead1 +%d+m?s ago +1 +" .. found.dead1.fingerprint .. " +" .. stage.prefix ..
        "jobs.add.bad +app/app.lua:11: no good\n", out)
      assert.equal("no dead letters\n", select(2, rbf("queue:inspect", "mail", "--dead")))
      assert.matches("more than these 1", select(3, rbf("queue:inspect", "jobs", "--dead", "--limit", "1")))
    end)

    it("fits the terminal", function()
      store("jobs", "add.bad", '"' .. ("x"):rep(300) .. '"', "dead1")
      await_letter(1)
      for _, width in ipairs { 40, 80, 120 } do
        local _, out = rbf("queue:inspect", "jobs", "--dead", { env = { COLUMNS = width } })
        local table_fits = true
        for line in out:gmatch "[^\n]+" do
          table_fits = table_fits and #line:gsub("…", ".") <= width
        end
        assert.is_true(table_fits or out:find "^  REQUEST" ~= nil, out)
      end
    end)

    it("knows the names", function()
      local code, _, err = rbf("queue:inspect", "mial")
      assert.equal(1, code)
      assert.matches("no queue is named 'mial', did you mean 'mail'?", err, 1, true)
    end)
  end)

  it("outbox:list tells why a row is there", function()
    assert.equal("the outbox is empty\n", select(2, rbf "outbox:list"))
    stage:call("jobs.later", "1", { id = "source" })
    store("jobs", "add.broken", "1", "broken")
    proc.eventually(function() return stage:count "rbf_outbox" == 2 end, 20000, "two rows")
    stage.db:exec [[INSERT INTO rbf_outbox (source_request_id, type, path, data, attempts, next_try_at)
      VALUES ('s', 'message', 'nobody.there', '{}', 3, 99999999999999)]]
    local states = {}
    for _, row in ipairs((json "outbox:list")) do states[row.state] = row end
    assert.equal("source", states.waiting.sourceRequestId)
    assert.equal(2, states.retrying.attempt)
    assert.equal("broken", states.retrying.requestId)
    assert.equal(3, states.unpublished.publishAttempts)
    assert.equal(cjson.null, states.unpublished.requestId)
    local code, out = rbf "outbox:list"
    assert.equal(0, code)
    assert.matches("retrying +in %d+m %d+s +2 +broken", out)
  end)

  describe("job:show", function()
    local function state_of(id)
      local o, code = json("job:show", id)
      return o.state, o, code
    end

    it("shows a result, and the versions", function()
      local reply = stage:call("jobs.add.x", '{"a":1}', { id = "mine" })
      local state, o, code = state_of "mine"
      assert.equal(0, code)
      assert.equal("done", state)
      assert.same({ what = "x" }, o.result.data)
      assert.same({ a = 1 }, o.result.input)
      assert.same({ reply.version }, o.versions)
      local _, out = rbf("job:show", "mine")
      assert.matches("^  request  mine\n  state    done\n\nResult\n", out)
      assert.matches('\n  data     {"what":"x"}\n', out, 1, true)
    end)

    it("shows what waits: in a stream, for another attempt, for its time", function()
      held(function()
        store("mail", "send", "1", "first")
        proc.eventually(function() return state_of "first" == "in flight" end, 20000, "in flight")
        store("mail", "send", "2", "second")
        assert.equal("pending", (state_of "second"))
        assert.matches("\nIn the stream\n  queue     mail\n", select(2, rbf("job:show", "second")))
      end)
      store("jobs", "add.broken", "1", "broken")
      proc.eventually(function() return state_of "broken" == "retrying" end, 20000, "retrying")
      local job = cjson.decode("[" .. stage:call("jobs.later", "1", { id = "source" }).raw .. "]")[1]
      local state, o = state_of "source"
      assert.equal("done", state)
      assert.equal(job, o.followUps[1].id)
      state, o = state_of(job)
      assert.equal("waiting", state)
      assert.equal("source", o.waiting[1].sourceRequestId)
    end)

    it("shows a dead letter by its own id too, and a replay", function()
      store("jobs", "add.bad", "1", "dead")
      await_letter(1)
      local state, o = state_of "dead"
      assert.equal("dead", state)
      assert.equal("app/app.lua:11: no good", o.deadLetters[1].message)
      assert.equal("dead", (state_of(o.deadLetters[1].id)))
      assert.matches("\nDead letter\n  letter      " .. o.deadLetters[1].id .. "\n", select(2, rbf("job:show", "dead")), 1, true)
      stage.db:exec "UPDATE rbf_dead_letters SET replayed_at = died_at; DELETE FROM rbf_results"
      assert.equal("replayed", (state_of "dead"))
    end)

    it("exits with 1 when nothing is known", function()
      local code, out, err = rbf("job:show", "never came")
      assert.equal(1, code)
      assert.equal("", out)
      assert.matches("nothing is known of never came", err, 1, true)
      local state, _, json_code = state_of "never came"
      assert.equal("unknown", state)
      assert.equal(1, json_code)
    end)

    it("says when it has not looked at all messages", function()
      held(function()
        for i = 1, 1001 do store("mail", "send", "null", "m" .. i) end
        local code, out, err = rbf("job:show", "m1000")
        assert.equal(0, code, err)
        assert.matches("\n  state    pending\n", out)
        assert.equal("rbf: only the first 1000 messages of mail were looked through\n", err)
        local unknown, _, why = rbf("job:show", "m1001")
        assert.equal(1, unknown)
        assert.matches("only the first 1000 messages of mail were looked through\nrbf: nothing is known of m1001", why, 1, true)
        stage.client:js("STREAM.PURGE." .. stage.client:stream_of(stage:subject("mail", "x")))
      end)
    end)
  end)

  describe("on a terminal", function()
    -- What a terminal of that width would show.
    local function terminal(width, command, env)
      local words = ("stty cols %d; %s %s --database-url '%s' --nats-url '%s' --subject-prefix %s"):format(width,
        host.binary(), command, stage.db_url, stage.nats.url, stage.prefix)
      local code, out, err = proc.run {
        "script", "-qec", words, "/dev/null", env = env or { NO_COLOR = false }, cwd = stage.dir, timeout = 30000,
      }
      assert.equal(0, code, out .. err)
      return (out:gsub("\r\n", "\n"))
    end

    before_each(function()
      store("jobs", "add.bad", '"' .. ("x"):rep(300) .. '"', "dead1")
      await_letter(1)
    end)

    it("tables are coloured, unless NO_COLOR says no", function()
      local out = terminal(120, "queue:list")
      assert.matches("\27[1mQUEUE\27[0m", out, 1, true)
      assert.matches("\27[31m1\27[0m", out, 1, true)
      assert.is_nil(terminal(120, "queue:list", { NO_COLOR = "1" }):find("\27", 1, true))
      assert.is_nil(select(2, rbf "queue:list"):find("\27", 1, true))
    end)

    it("tables have its width", function()
      local out = terminal(80, "queue:inspect jobs --dead", { NO_COLOR = "1" })
      for line in out:gmatch "[^\n]+" do assert.is_true(#line:gsub("…", ".") <= 80, line) end
      assert.matches("…", out, 1, true)
    end)

    for command, said in pairs {
      ["job:replay"] = { "sending again", "8 sent again" }, ["job:discard"] = { "discarding", "8 discarded" },
    } do
      it("a bar shows how far a " .. command .. " of more than a second is", function()
        stage.db:exec [[
          INSERT INTO rbf_dead_letters (id, queue, subject, request_id, payload, attempts, first_seen_at)
            SELECT gen_random_uuid(), 'jobs', 'nobody.there', 'r' || n, '1', 1, 0 FROM generate_series(1, 7) n;
          CREATE OR REPLACE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN PERFORM pg_sleep(0.25); RETURN COALESCE(NEW, OLD); END $$;
          CREATE TRIGGER slow BEFORE UPDATE OR DELETE ON rbf_dead_letters FOR EACH ROW EXECUTE FUNCTION slow()]]
        local out = terminal(80, command .. " --all")
        stage.db:exec "DROP TRIGGER slow ON rbf_dead_letters; DELETE FROM rbf_outbox"
        assert.matches("\r\27%[K" .. said[1] .. " %[#+%.+%] %d/8, %d+m?s left", out)
        assert.matches("\r\27%[K" .. said[2] .. "\n$", out)
      end)
    end
  end)

  it("the commands find the servers of the `rbf dev` that runs in their folder", function()
    local dir = proc.temp_dir "dev"
    proc.copy_tree(stage.app, dir .. "/handlers")
    local log = dir .. "/log"
    local dev = proc.spawn {
      host.binary(), "dev", cwd = dir, out = log, err = log, env = { DATABASE_URL = false, NATS_URL = false },
    }
    finally(function() dev:finish("TERM", 20000) end)
    proc.eventually(function()
      return (proc.read_file(log) or ""):find("serves, as code version", 1, true)
    end, 60000, "rbf dev to serve")
    local function here(...)
      local code, out, err = host.rbf(..., { cwd = dir })
      assert.equal("", err)
      assert.equal(0, code)
      return out
    end
    assert.matches("\njobs ", here "queue:list")
    assert.matches("\n  stream +jobs\n", (select(2, host.rbf("queue:inspect", "jobs", { cwd = dir }))))
    assert.equal("the outbox is empty\n", here "outbox:list")
    assert.matches("\nok +queue jobs", here "doctor")
    assert.equal(0, (host.rbf("job:trigger", "jobs.add.x", "1", "--request-id", "mine", { cwd = dir })))
    assert.matches("  state    done\n", (select(2, host.rbf("job:show", "mine", { cwd = dir }))))
  end)
end)
