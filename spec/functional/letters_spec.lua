-- Dead letters and waiting jobs, handled from the shell: replay, discard, cancel.
local host = require "spec.support.host"
local pg = require "spec.support.pg"
local proc = require "spec.support.proc"
local cjson = require "cjson"

describe("rbf", function()
  local stage

  before_each(function()
    stage = host.stage {
      app = "spec/apps/letters", args = { "--max-attempts", "2", "--retry-initial", "10ms" },
    }
    stage:start()
  end)

  after_each(function()
    host.close(stage)
  end)

  local function rbf(command, ...)
    local words = { command, ... }
    words[#words + 1] = "--database-url"
    words[#words + 1] = stage.db_url
    return host.rbf(unpack(words))
  end

  local function said(expected, command, ...)
    local code, out, err = rbf(command, ...)
    assert.equal(expected .. "\n", out .. err)
    return code
  end

  local function store(path, data, id, headers)
    headers = headers or {}
    headers["Request-Id"] = id
    stage.client:store { subject = stage:subject("jobs", path), data = data, headers = headers }
  end

  local function await_letters(n)
    proc.eventually(function()
      return stage:count "rbf_dead_letters" == n
    end, 20000, n .. " dead letters")
  end

  local function works()
    stage.db:exec "UPDATE settings SET works = true"
  end

  local function marks()
    return stage.db:value "SELECT COALESCE(string_agg(what, ' ' ORDER BY what), '') FROM marks"
  end

  local function statuses()
    return tostring(stage.db:value "SELECT COALESCE(string_agg(status::text, ' '), '') FROM rbf_results")
  end

  it("does not keep secrets in dead letters, tells who listens, and replays without them", function()
    stage.hosts[1]:stop()
    stage:start { args = { "--dead-subject", stage.prefix .. "dead" } }
    local sub = stage.client:subscribe(stage.prefix .. "dead")
    store("mark", '"a"', "ra", { AUTHORIZATION = "Bearer s3cret", ["X-Kept"] = "yes" })
    await_letters(1)
    local headers = cjson.decode(stage.db:value "SELECT headers FROM rbf_dead_letters")
    assert.equal("[redacted]", headers.AUTHORIZATION)
    assert.equal("yes", headers["X-Kept"])
    local notice = cjson.decode(stage.client:next(sub, 30000).raw)
    assert.same({ requestId = "ra", attempts = 1, subject = stage:subject("jobs", "mark"),
      error = { code = "NOT_YET", message = "not yet" } }, notice)
    stage.db:exec "UPDATE rbf_dead_letters SET replayed_at = NULL"
    said("1 sent again", "job:replay", "ra")
    await_letters(2)
    assert.is_nil(stage.db:value("SELECT headers->>'AUTHORIZATION' FROM rbf_dead_letters ORDER BY died_at DESC LIMIT 1"))
  end)

  it("puts dead letters of one cause into one group: code, shape of the message, top frame", function()
    local texts = {
      { "no user 'ada' (12)", "no user 'bob o.' (7)", "no user \"it's me\" (0)" },
      { "no user 'ada'" },
      { "row 0b5d0c6e-3f77-4d3e-9b1b-111111111111 isn't there", "row f7a1e1aa-0000-4d3e-9b1b-22aa11bb33cc isn't there" },
      { "row 0b5d0c6e-3f77-4d3e-9b1b-111111111111 isn't here" },
      { "no user 'ada' (12)", "no user 'bob' (7)", there = true },
    }
    local groups = {}
    for i, group in ipairs(texts) do
      for k, text in ipairs(group) do
        store("says", cjson.encode { text = text, there = group.there }, ("r%d.%d"):format(i, k))
      end
    end
    await_letters(9)
    for i, group in ipairs(texts) do
      local prints = stage.db:query("SELECT DISTINCT fingerprint FROM rbf_dead_letters WHERE request_id LIKE $1", ("r%d.%%"):format(i))
      assert.equal(1, #prints, group[1])
      assert.is_nil(groups[prints[1].fingerprint], group[1])
      groups[prints[1].fingerprint] = true
    end
    assert.equal(0, stage.db:value "SELECT count(*) FROM rbf_dead_letters WHERE code_version IS NULL OR error_traceback IS NULL")
  end)

  describe("job:replay", function()
    it("runs a letter again under its request id, once, without the first try's headers", function()
      store("mark", '"a"', "ra", { ["X-Kept"] = "yes", ["Expires-At"] = "99999999999999" })
      await_letters(1)
      assert.equal("409", statuses())
      works()
      assert.equal(0, said("1 sent again", "job:replay", "ra"))
      assert.equal(1, said("rbf: no dead letter has the id or request id ra (or it was replayed already)",
        "job:replay", "ra"))
      stage:settle { "jobs" }
      assert.equal("a", marks())
      local result = stage.db:query "SELECT * FROM rbf_results"[1]
      assert.equal("ra", result.request_id)
      assert.equal("200", result.status)
      assert.equal('"yes"', result.data)
    end)

    it("that fails again leaves a second letter", function()
      store("broken", '"b"', "rb")
      await_letters(1)
      said("1 sent again", "job:replay", "rb")
      await_letters(2)
      stage:settle { "jobs" }
      assert.equal("500", statuses())
      works()
      said("1 sent again", "job:replay", "rb")
      stage:settle { "jobs" }
      assert.equal("b", marks())
    end)

    it("takes a group by its fingerprint, or all; leaves what could never run", function()
      for i = 1, 3 do
        store("broken", ('"b%d"'):format(i), "rb" .. i)
        store("mark", ('"m%d"'):format(i), "rm" .. i)
      end
      store("mark", "no JSON", "rj")
      await_letters(7)
      works()
      local print = stage.db:value "SELECT DISTINCT fingerprint FROM rbf_dead_letters WHERE request_id LIKE 'rb%'"
      said("3 sent again", "job:replay", "--group", print)
      stage:settle { "jobs" }
      assert.equal("b1 b2 b3", marks())
      assert.equal(1, said("3 sent again, 1 left: their payload is no JSON that a handler could get",
        "job:replay", "--all"))
      stage:settle { "jobs" }
      assert.equal("b1 b2 b3 m1 m2 m3", marks())
    end)

    it("leaves what dies after it began: it may have sent that itself", function()
      store("mark", '"a"', "ra")
      store("mark", '"b"', "rb")
      await_letters(2)
      stage.db:exec "UPDATE rbf_dead_letters SET died_at = died_at + 3600000 WHERE request_id = 'rb'"
      works()
      said("1 sent again", "job:replay", "--all")
      stage:settle { "jobs" }
      assert.equal("a", marks())
    end)

    it("sends nothing when the request has succeeded meanwhile", function()
      store("mark", '"a"', "ra")
      await_letters(1)
      stage.db:exec "UPDATE rbf_results SET status = 200"
      works()
      said("0 sent again, 1 had succeeded meanwhile and are resolved", "job:replay", "ra")
      stage:settle { "jobs" }
      assert.equal("", marks())
    end)

    it("by several people at once sends each letter once", function()
      for i = 1, 20 do store("mark", ('"m%02d"'):format(i), "rm" .. i) end
      await_letters(20)
      works()
      local running = {}
      for i = 1, 3 do
        running[i] = proc.spawn { host.binary(), "job:replay", "--all", "--database-url", stage.db_url }
      end
      for _, process in ipairs(running) do process:wait(20000) end
      stage:settle { "jobs" }
      assert.equal(20, stage:count "marks")
      assert.equal(20, stage.db:value "SELECT count(DISTINCT what) FROM marks")
    end)
  end)

  it("job:discard drops letters and the errors stored with them", function()
    store("mark", '"a"', "ra")
    store("mark", '"b"', "rb")
    await_letters(2)
    assert.equal(0, said("1 discarded", "job:discard", "ra"))
    assert.equal("rb", stage.db:value "SELECT request_id FROM rbf_dead_letters")
    assert.equal("409", statuses())
    said("1 discarded", "job:discard", "--all")
    assert.equal("", statuses())
    assert.equal(0, said("no dead letters", "job:discard", "--all"))
  end)

  describe("job:discard", function()
    --- n letters of one group, as many stored errors: the first died first.
    local function insert(n)
      stage.db:exec(([[
        INSERT INTO rbf_dead_letters (id, queue, subject, request_id, payload, attempts, first_seen_at, died_at, fingerprint)
          SELECT gen_random_uuid(), 'jobs', 'jobs.mark', 'r' || n, '1', 1, 0, %d + n, 'group' FROM generate_series(1, %d) n;
        INSERT INTO rbf_results (request_id, requested_path, requested_input, data, status)
          SELECT request_id, subject, '1', '{}', 500 FROM rbf_dead_letters]]):format(proc.epoch_ms() - 60000, n))
    end

    it("goes on batch by batch, each of them committed", function()
      insert(2500)
      local lock = pg.connect(stage.db_url)
      lock:exec "BEGIN; SELECT FROM rbf_results WHERE request_id = 'r1500' FOR UPDATE"
      local running = proc.spawn {
        host.binary(), "job:discard", "--group", "group", "--database-url", stage.db_url, out = stage.dir .. "/said",
      }
      proc.eventually(function() return stage:count "rbf_dead_letters" == 1500 end, 20000, "the first batch")
      assert.equal(1500, stage:count "rbf_results")
      lock:exec "COMMIT"
      lock:close()
      assert.equal(0, running:wait(20000))
      assert.equal("2500 discarded\n", proc.read_file(stage.dir .. "/said"))
      assert.equal(0, stage:count "rbf_dead_letters" + stage:count "rbf_results")
    end)

    it("leaves what dies after it began, and what another has just now", function()
      insert(4)
      stage.db:exec "UPDATE rbf_dead_letters SET died_at = died_at + 3600000 WHERE request_id = 'r1'"
      local lock = pg.connect(stage.db_url)
      lock:exec "BEGIN; SELECT FROM rbf_dead_letters WHERE request_id = 'r3' FOR UPDATE"
      said("2 discarded", "job:discard", "--all")
      said("no dead letters", "job:discard", "--all")
      lock:exec "COMMIT"
      lock:close()
      said("1 discarded", "job:discard", "--all")
      assert.equal("r1", stage.db:value "SELECT request_id FROM rbf_dead_letters")
      assert.equal("r1", stage.db:value "SELECT request_id FROM rbf_results")
    end)

    it("never drops what had succeeded", function()
      insert(2)
      stage.db:exec "UPDATE rbf_results SET status = 200 WHERE request_id = 'r1'"
      said("2 discarded", "job:discard", "--all")
      assert.equal("200", statuses())
    end)
  end)

  describe("job:cancel", function()
    it("cancels a waiting job by its id, its request's, or what Target-At delays", function()
      works()
      local reply = stage:call("jobs.later", '"x"')
      assert.equal(200, reply.status, reply.raw)
      stage:call("jobs.later", '"y"')
      store("mark", '"z"', "delayed", { ["Target-At"] = ("%d"):format(proc.epoch_ms() + 3600000) })
      proc.eventually(function()
        return stage:count "rbf_outbox" == 3
      end, 10000, "three waiting jobs")
      local job = cjson.decode("[" .. reply.raw .. "]")[1]
      for _, id in ipairs { job, "y", "delayed" } do
        assert.equal(0, said("cancelled: it will never run", "job:cancel", id))
        assert.equal(1, said("rbf: " .. id
          .. " does not wait for its time: it is due, under way, done or unknown", "job:cancel", id))
      end
      assert.equal(0, stage:count "rbf_outbox")
      assert.equal("", marks())
    end)
  end)

  it("job:cancel tells who waits for the reply", function()
    stage.hosts[1]:stop()
    stage:start { args = { "--retry-initial", "1h", "--retry-max", "1h" } }
    local parked = stage.client:start { subject = stage:subject("jobs", "broken"), data = '"b"', id = "parked" }
    local delayed = stage.client:start { subject = stage:subject("jobs", "mark"), data = '"z"', id = "delayed",
      headers = { ["Target-At"] = ("%d"):format(proc.epoch_ms() + 3600000) } }
    proc.eventually(function() return stage:count "rbf_outbox" == 2 end, 10000, "both waiting")
    for _, request in ipairs { parked, delayed } do
      assert.equal(0, said("cancelled: it will never run", "job:cancel", request.id))
      assert.equal(0, stage.client:wait_all({ request }))
      assert.same({ 499, { code = "ABORTED", message = "it was cancelled" } },
        { request.reply.status, request.reply.body })
      assert.equal(request.id, request.reply.headers["Request-Id"])
      stage.client:send(request) -- for good
      stage.client:pump_until(function() return request.extra end, 30000)
      assert.equal(499, request.extra and request.extra.status)
    end
    stage:settle { "jobs" }
    works()
    assert.equal("", marks())
  end)

  it("asks for one choice", function()
    for _, words in ipairs { {}, { "x", "--all" }, { "x", "y" }, { "--group", "g", "--all" } } do
      local code, _, err = rbf("job:replay", unpack(words))
      assert.equal(1, code)
      assert.matches("usage: rbf job:replay ID | --group FINGERPRINT | --all", err, 1, true)
    end
    local _, _, err = rbf("job:replay", "--group")
    assert.matches("--group", err, 1, true)
  end)
end)
