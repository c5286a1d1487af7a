-- docs/security.md says with how little a host, its operators and its clients get along: its SQL
-- and its nats-server configuration are what runs here.
local host = require "spec.support.host"
local nats = require "spec.support.nats"
local proc = require "spec.support.proc"
local servers = require "spec.support.servers"

-- The blocks of one language, joined; n: only that one.
local function blocks(language, n)
  local text, found = assert(proc.read_file "docs/security.md"), {}
  for block in text:gmatch("```" .. language .. "\n(.-)```") do
    found[#found + 1] = block
  end
  return assert(found[n or 1], "no block of " .. language)
end

describe("with the least privileges", function()
  local nats_server, stage, running, web

  local function nats_url(user)
    return ("nats://%s:%s-pass@127.0.0.1:%s"):format(user, user, nats_server.port)
  end

  local function db_url(role)
    return (stage.db_url:gsub("postgres@", role .. "@"))
  end

  -- What the servers refused, by their own logs; user: only what NATS refused that one.
  local function refusals(user)
    local found = {}
    for _, path in ipairs { stage.postgres.dir .. "/log", nats_server.dir .. "/log" } do
      for line in (proc.read_file(path) or ""):gmatch "[^\n]+" do
        local violation = line:find "Violation" and line:find('User "' .. (user or ""), 1, true)
        if violation or not user and line:find "permission denied" then
          found[#found + 1] = line
        end
      end
    end
    return found
  end

  local function start(o)
    o = o or {}
    return stage:start {
      args = {
        "--database-url", db_url "shop_host", "--nats-url", nats_url(o.user or "host"),
        "--results-retention", "1s", "--cron-lease", "1s", unpack(o.args or {}),
      },
      no_wait = o.no_wait,
    }
  end

  -- Handlers that are held.
  local WAITING = " FROM pg_locks WHERE locktype = 'advisory' AND objid = 5 AND NOT granted"

  lazy_setup(function()
    local postgres = servers.new_postgres()
    local file = proc.temp_dir "conf" .. "/nats.conf"
    local config = blocks "conf"
    -- besides the three: the spec's own all-seeing user, and a host that may make no streams
    config = config:gsub("users: %[", [[%0
      { user: admin, password: admin-pass }
      { user: fixed, password: fixed-pass, permissions: {
        publish: { deny: ["$JS.API.STREAM.CREATE.*", "$JS.API.STREAM.UPDATE.*"] } } }]])
    proc.write_file(file, config)
    nats_server = servers.new_nats {
      "-c", file, url = "nats://admin:admin-pass@",
      env = { HOST_PASSWORD = "host-pass", WEB_PASSWORD = "web-pass", OPS_PASSWORD = "ops-pass" },
    }
    postgres.admin:exec "CREATE ROLE shop_host LOGIN; CREATE ROLE shop_ops LOGIN"
    stage = host.stage { app = "spec/apps/privileges", postgres = postgres, nats = nats_server }
    stage.prefix = "" -- as in the document
    stage.db:exec(blocks "sql")
    stage.db:exec "GRANT SELECT, INSERT ON notes TO shop_host"
    running = start()
    web = nats.connect(nats_url "web", { inbox = "_INBOX_web" })
  end)

  lazy_teardown(function()
    if web then
      web:close()
    end
    host.close(stage)
    if stage then
      stage.postgres:stop()
    end
    nats_server:stop()
  end)

  local function has_note(text)
    return proc.eventually(function()
      return stage.db:value("SELECT count(*) FROM notes WHERE text = $1", text) == 1
    end, 20000, "the note " .. text)
  end

  local function command(...)
    local words = { ... }
    for _, word in ipairs { "--database-url", db_url "shop_ops", "--nats-url", nats_url "ops" } do
      words[#words + 1] = word
    end
    return host.rbf(unpack(words))
  end

  it("a host does all it has to", function()
    local answer = web:call("jobs.users.add", { text = "one", later = "cancel-me" })
    assert.equal(200, answer.status, answer.raw)
    has_note "one followed"
    has_note "one later"
    has_note "ticked"
    assert.equal(422, web:call("jobs.users.fail").status)
    web:start { subject = "jobs.users.fail", reply = false } -- nobody hears it: a dead letter
    web:start { subject = "jobs.users.flaky", reply = false }
    has_note "flaky"
    -- run alone, at its third delivery: rbf_suspects
    stage.db:exec "SELECT pg_advisory_lock(5)"
    web:start { subject = "jobs.users.slow", reply = false }
    for delivery = 1, 2 do
      proc.eventually(function()
        return stage.db:value("SELECT count(*)" .. WAITING) == 1
      end, 20000, "delivery " .. delivery)
      running:kill_worker()
      stage.db:exec("SELECT pg_terminate_backend(pid, 20000)" .. WAITING) -- it would notice with the lock only
      running:await_ready()
    end
    stage.db:exec "SELECT pg_advisory_unlock(5)"
    has_note "slow"
    proc.eventually(function()
      return stage:stored "jobs" == 0 and stage:count "rbf_outbox" == 1 -- the one in an hour
    end, 30000, "an empty stream")
    -- what is old is purged; dead letters by a host of their own, as others are looked at below
    assert.equal(1, stage:count "rbf_dead_letters")
    assert.equal(0, running:stop())
    running = start { args = { "--dead-retention", "2s" } }
    proc.eventually(function()
      return stage:count "rbf_dead_letters" == 0 and
        stage.db:value "SELECT count(*) FROM rbf_results WHERE requested_path LIKE '%users%'" == 0
    end, 30000, "the purge")
    assert.equal(0, running:stop())
    running = start()
    assert.same({}, refusals())
  end)

  it("a client calls, and hears its own replies", function()
    local plain = web:request { subject = "rpc.jobs.users.list", data = "null" }
    assert.truthy(plain.body.n > 0)
    plain = web:request { subject = "rpc.jobs.users.add", data = '{"text":"plain"}' }
    assert.equal("plain", plain.body.text)
  end)

  it("a client does nothing else", function()
    local answer = web:request({ subject = "$JS.API.STREAM.LIST", data = "{}" }, 2000)
    assert.is_nil(answer, "it could look into JetStream")
    local spy = nats.connect(nats_url "web", { inbox = "_INBOX_web" })
    for _, subject in ipairs { ">", "_INBOX.>", "jobs.>", "rpc.>", "$JS.ACK.>" } do
      spy:subscribe(subject)
    end
    spy:publish { subject = "events.follow", data = '{"text":"forged"}' }
    spy:publish { subject = "$JS.API.STREAM.DELETE.jobs" }
    spy:publish { subject = "$JS.ACK.jobs.jobs.1.1.1.1.1", data = "+TERM" }
    spy:flush()
    proc.eventually(function()
      return #refusals "web" == 9
    end, 10000, function()
      return "nine refusals; there are " .. table.concat(refusals "web", "\n")
    end)
    spy:close()
    assert.equal(0, stage.db:value "SELECT count(*) FROM notes WHERE text = 'forged'")
  end)

  it("a handler cannot leave its role", function()
    for _, sql in ipairs {
      "CREATE TABLE loot (n INT)", "DROP TABLE notes", "DELETE FROM notes",
      "UPDATE rbf_results SET status = 200", "UPDATE rbf_migrations SET name = 'x'",
      "TRUNCATE rbf_outbox", "ALTER TABLE notes ADD n INT", "SET ROLE postgres",
      "COPY notes TO PROGRAM 'cat'",
    } do
      local ok, answer = pcall(web.call, web, "jobs.users.steal", { sql = sql }, { timeout = 20000 })
      assert.is_true(ok, sql .. ": " .. tostring(answer) .. "; the host said:\n" .. running:tail())
      assert.equal(500, answer.status, sql .. ": " .. answer.raw)
    end
    assert.is_true(running.process:alive())
  end)

  it("an operator triggers, replays, discards and cancels", function()
    local _
    local code, out, err = command("job:trigger", "jobs.users.add", '{"text":"ops"}')
    assert.equal(0, code, err)
    assert.truthy(out:find "ops")
    code, _, err = command("job:cancel", "cancel-me")
    assert.equal(0, code, err)
    assert.equal(0, stage.db:value "SELECT count(*) FROM rbf_outbox WHERE data->>'text' = 'never'")
    web:start { subject = "jobs.users.fail", reply = false }
    proc.eventually(function()
      return stage.db:value "SELECT count(*) FROM rbf_dead_letters WHERE subject = 'jobs.users.fail'" > 0
    end, 20000, "a dead letter")
    for _, words in ipairs { { "queue:list" }, { "queue:inspect", "jobs" }, { "queue:inspect", "jobs", "--dead" },
      { "outbox:list" } } do
      code, _, err = command(unpack(words))
      assert.equal(0, code, err)
    end
    assert.equal(0, (command("job:show", stage.db:value "SELECT request_id FROM rbf_dead_letters LIMIT 1")))
    code, out = host.rbf("doctor", stage.app, "--database-url", db_url "shop_host", "--nats-url", nats_url "host")
    assert.equal(0, code, out)
    code, _, err = command("job:replay", "--all")
    assert.equal(0, code, err)
    code, _, err = command("job:discard", "--all")
    assert.equal(0, code, err)
    local script = stage.dir .. "/script.lua"
    proc.write_file(script, "print(require('rbf').backend.queries.list {}.n)")
    code, out, err = host.rbf("exec", "--app", stage.app, "--nats-url", nats_url "ops", script)
    assert.equal(0, code, err)
    assert.truthy(tonumber(out) > 0)
  end)

  it("a host that may not make streams serves those that exist", function()
    assert.equal(0, running:stop())
    running = start { user = "fixed" }
    assert.equal(200, web:call("jobs.users.add", { text = "fixed" }).status)
    has_note "fixed followed"
    assert.same({}, refusals "fixed")
  end)
end)
