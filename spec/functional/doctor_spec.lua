-- rbf doctor finds what is wrong with the servers, and says what to do.
local host = require "spec.support.host"
local pg = require "spec.support.pg"
local proc = require "spec.support.proc"
local servers = require "spec.support.servers"
local cjson = require "cjson"

local app = [[
local rbf = require "rbf"
local app = rbf.defineBackend { queues = { jobs = { stream = "doctors" } } }
return { one = app:mutation("jobs", { path = "one", handler = function() rbf.fail { status = 400, code = "NO" } end }) }
]]

describe("rbf doctor", function()
  local stage

  setup(function()
    stage = host.stage { app = { ["app.lua"] = app } }
  end)

  teardown(function()
    host.close(stage)
  end)

  -- What is found under a check (a table by check), the exit code, and all as text.
  local function doctor(o)
    o = o or {}
    local words = {
      "doctor", stage.app, "--database-url", o.database or stage.db_url, "--nats-url", o.nats or stage.nats.url,
      "--subject-prefix", stage.prefix, "--json", unpack(o.args or {}),
    }
    local code, out, err = host.rbf(unpack(words))
    assert.equal("", err)
    local by_check = {}
    for _, finding in ipairs(cjson.decode(out)) do
      local before = by_check[finding.check]
      if not before or before.state == "ok" then by_check[finding.check] = finding end
    end
    return by_check, code
  end

  local function assert_bad(state, finding, found, cure)
    assert.truthy(finding, "no finding")
    assert.equal(state, finding.state, finding.found)
    assert.matches(found, finding.found, 1, true)
    if cure then assert.matches(cure, finding.cure, 1, true) end
  end

  it("is content with what a host is content with", function()
    local found, code = doctor()
    assert.equal(0, code)
    for check, finding in pairs(found) do
      assert.equal("ok", finding.state, check .. ": " .. finding.found)
      assert.is_nil(finding.cure)
    end
    assert.matches("comes with the first host", found["queue jobs"].found, 1, true)
    stage:start()
    found, code = doctor()
    assert.equal(0, code)
    assert.equal("stream doctors, consumer jobs, as the app asks for", found["queue jobs"].found)
    assert.matches("^version 15", found.PostgreSQL.found)
    assert.matches("^version 2%.", found.NATS.found)
    local _, out = host.rbf("doctor", stage.app, "--database-url", stage.db_url, "--nats-url", stage.nats.url,
      "--subject-prefix", stage.prefix)
    assert.matches("\nok +PostgreSQL +version 15", out)
    assert.matches("\n\nall is well\n$", out)
  end)

  it("tells which server cannot be reached", function()
    local found, code = doctor { nats = "nats://127.0.0.1:1" }
    assert.equal(1, code)
    assert_bad("problem", found.NATS, "127.0.0.1:1: Connection refused", "mend NATS_URL")
    assert.equal("ok", found.PostgreSQL.state)
    found, code = doctor { database = "postgresql://nobody@127.0.0.1:1/x" }
    assert.equal(1, code)
    assert_bad("problem", found.PostgreSQL, "127.0.0.1", "mend DATABASE_URL")
    assert.equal("ok", found.NATS.state)
    local exit, out = host.rbf("doctor", { cwd = stage.dir })
    assert.equal(1, exit)
    assert.matches("problem  PostgreSQL  no server is named, and no `rbf dev` runs here\n", out, 1, true)
    assert.matches("\n2 problems, 1 warning\n$", out)
    found = doctor { args = { "--redis-url", "redis://127.0.0.1:1" } }
    assert_bad("warning", found.Redis, "does not answer", "REDIS_URL")
  end)

  it("tells of an app that does not load", function()
    stage:write("broken.lua", "nonsense(")
    local found, code = doctor()
    os.remove(stage.app .. "/broken.lua")
    assert.equal(1, code)
    assert_bad("problem", found.app, "broken.lua:1")
  end)

  it("tells of tables that are missing, and of rights", function()
    local empty = stage.postgres:new_database()
    local found, code = doctor { database = empty }
    assert.equal(1, code)
    assert_bad("problem", found.schema, "the host's tables are missing", "rbf db:migrate")
    stage.db:exec [[
      DROP ROLE IF EXISTS doctor_host;
      CREATE ROLE doctor_host LOGIN;
      GRANT SELECT ON rbf_migrations TO doctor_host;
      GRANT SELECT, INSERT, UPDATE, DELETE ON rbf_outbox, rbf_suspects, rbf_crons, rbf_cron_versions, rbf_dead_letters
        TO doctor_host;
      GRANT SELECT, INSERT ON rbf_results TO doctor_host;
      GRANT SELECT, INSERT, UPDATE ON rbf_horizons TO doctor_host]]
    found, code = doctor { database = (stage.db_url:gsub("postgres@", "doctor_host@")) }
    assert.equal(1, code)
    assert_bad("problem", found.rights, "this role lacks DELETE on rbf_results", "GRANT DELETE ON rbf_results")
    stage.db:exec "GRANT DELETE ON rbf_results TO doctor_host"
    found, code = doctor { database = (stage.db_url:gsub("postgres@", "doctor_host@")) }
    assert.equal("ok", found.rights.state)
    assert.equal(0, code)
    stage.db:exec "DROP OWNED BY doctor_host; DROP ROLE doctor_host"
  end)

  it("tells of the app's migrations that are not applied, or changed", function()
    local url = stage.postgres:new_database()
    stage:write("migrations/001_one.sql", "CREATE TABLE one (n INT);")
    assert.equal(0, (host.rbf("db:migrate", stage.app, "--database-url", url)))
    assert.is_nil(doctor { database = url }.migrations)
    stage:write("migrations/002_two.sql", "CREATE TABLE two (n INT);")
    local found, code = doctor { database = url }
    assert.equal(0, code)
    assert_bad("warning", found.migrations, "not all applied: 002_two.sql", "rbf db:migrate")
    os.remove(stage.app .. "/migrations/002_two.sql")
    stage:write("migrations/001_one.sql", "CREATE TABLE one (n BIGINT);")
    assert_bad("warning", doctor { database = url }.migrations, "changed after they were applied: 001_one.sql")
    os.remove(stage.app .. "/migrations/001_one.sql")
  end)

  it("tells of settings that lose or slow down requests", function()
    local url = stage.postgres:new_database()
    local db = pg.connect(url)
    assert(host.rbf("db:init", "--apply", "--database-url", url) == 0)
    local name = url:match "(spec%d+)"
    db:exec("ALTER DATABASE " .. name .. " SET synchronous_commit = off")
    db:exec("ALTER DATABASE " .. name .. " SET default_transaction_read_only = on")
    local found, code = doctor { database = url }
    assert.equal(1, code)
    assert_bad("warning", found.durability, "synchronous_commit is off")
    assert_bad("problem", found.writable, "read only")
    db:close()
    found, code = doctor { args = { "--workers", "20" } }
    assert.equal(1, code)
    assert_bad("problem", found.connections, "up to 340 connections, the server takes 197", "max_connections")
  end)

  it("tells of a database's clock that is far away", function()
    -- a function of that name before pg_catalog's own
    local url = stage.postgres:new_database()
    local db = pg.connect(url)
    db:exec [[CREATE FUNCTION public.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS
      $$ SELECT pg_catalog.clock_timestamp() - interval '1 hour' $$]]
    db:exec("ALTER DATABASE " .. url:match "(spec%d+)" .. " SET search_path = public, pg_catalog")
    db:close()
    local found = doctor { database = url }
    assert_bad("warning", found.clock, "ms behind this machine's", "NTP")
    assert.matches("is 3[56]%d%d%d%d%d ms", found.clock.found)
  end)

  it("tells of what waits too long, or died", function()
    stage.db:exec [[INSERT INTO rbf_outbox (namespace, source_request_id, type, path, created_at)
      VALUES ('elsewhere', 's', 'request', 'x', 1)]]
    stage.client:store { subject = stage:subject("jobs", "one"), data = "null", headers = { ["Request-Id"] = "dies" } }
    proc.eventually(function() return stage:count "rbf_dead_letters" == 1 end, 20000, "a dead letter")
    local found, code = doctor()
    assert.equal(0, code)
    assert.equal("ok", found.outbox.state)
    assert_bad("warning", found["dead letters"], "1 that nobody has replayed", "rbf queue:inspect")
    stage.db:exec "DELETE FROM rbf_dead_letters"
    found = doctor { args = { "--namespace", "elsewhere" } }
    assert_bad("warning", found.outbox, "1 rows; the oldest that is due has waited for", "sweeper")
    stage.db:exec "DELETE FROM rbf_outbox"
  end)

  it("tells of a consumer that a killed server makes withhold messages", function()
    local name = (stage.prefix .. "jobs"):gsub("%.", "_")
    stage.client:js("STREAM.CREATE." .. name, {
      name = name, subjects = { stage.prefix .. "other.>" }, retention = "workqueue", description = "rbf namespace default",
    })
    finally(function() stage.client:js("STREAM.DELETE." .. name) end)
    stage:write("app.lua", (app:gsub("jobs = {.-}", "jobs = { stream = 'doctors' }, other = { stream = '" .. name .. "' }")))
    finally(function() stage:write("app.lua", app) end)
    assert.is_nil(stage.client:js(("CONSUMER.DURABLE.CREATE.%s.other"):format(name), {
      stream_name = name,
      config = { durable_name = "other", ack_policy = "explicit", ack_wait = 30e9, max_deliver = -1, max_ack_pending = 10000 },
    }).error)
    assert_bad("warning", doctor()["queue other"], "its state in a file",
      ("nats stream purge %s --seq 1 (what is acked), then nats consumer rm %s other"):format(name, name))
  end)

  describe("streams:", function()
    local function change(settings)
      local info = assert(stage.client:stream_info "doctors")
      local config = info.config
      for name, value in pairs(settings) do config[name] = value end
      local answer = stage.client:js("STREAM.UPDATE.doctors", config)
      assert.is_nil(answer.error and answer.error.description)
    end

    it("limits that drop messages", function()
      change { max_age = 3600 * 1e9 }
      local found, code = doctor()
      change { max_age = 0 }
      assert.equal(0, code)
      assert_bad("warning", found["queue jobs"], "the stream doctors drops messages: max_age is 3600000000000", "vanish")
    end)

    it("messages that nobody takes", function()
      stage.hosts[1]:stop()
      stage.client:store { subject = stage:subject("jobs", "one"), data = "null" }
      local found = doctor()
      assert_bad("warning", found["queue jobs"], "1 messages wait and nobody asks for them", "rbf run")
    end)

    it("another namespace's", function()
      local found, code = doctor { args = { "--namespace", "elsewhere" } }
      assert.equal(1, code)
      assert_bad("problem", found["queue jobs"], "field description is 'rbf namespace default'")
    end)
  end)

  it("tells of credentials that are refused", function()
    local plain = servers.new_nats { "--user", "u", "--pass", "p", url = "nats://u:p@" }
    local found, code = doctor { nats = (plain.url:gsub("u:p@", "u:wrong@")) }
    assert.equal(1, code)
    assert_bad("problem", found.login, "refused the credentials", "--nats-")
    plain:stop()
  end)
end)
