-- rbf db:migrate, on real databases; rbf dev and rbf test apply the same files.
local cjson = require "cjson"
local lfs = require "lfs"
local host = require "spec.support.host"
local pg = require "spec.support.pg"
local proc = require "spec.support.proc"
local servers = require "spec.support.servers"

local LOCK = "(32196339406825330)" -- as in host/pg/migrate.c

describe("rbf db:migrate", function()
  local app, url, db

  before_each(function()
    app = proc.temp_dir "migrate"
    lfs.mkdir(app .. "/migrations")
    proc.write_file(app .. "/app.lua", [[return require("rbf").defineBackend { queues = { jobs = {} } }]])
    proc.write_file(app .. "/migrations/1_a.sql", "CREATE TABLE a (x int);\nINSERT INTO a VALUES (1);\n")
    proc.write_file(app .. "/migrations/010_c.sql", "INSERT INTO a SELECT max(x) * 10 FROM a;\n")
    url = servers.postgres():new_database()
    db = pg.connect(url)
  end)

  after_each(function() db:close() end)

  local function migrate(...)
    return host.rbf("db:migrate", app, "--database-url", url, ...)
  end

  --- file → state of those of the app, and how many of the host there are of each state.
  local function status()
    local code, out, err = migrate("--status", "--json")
    local files, own = {}, {}
    for _, row in ipairs(cjson.decode(out)) do
      if row.of == "app" then files[row.file] = row.state else own[row.state] = (own[row.state] or 0) + 1 end
      assert.equal(row.state == "pending", row.appliedAt == cjson.null)
    end
    return files, own, code, err
  end

  local function count_own()
    local n = 0
    for name in lfs.dir "sql" do n = n + (name:find "%.sql$" and 1 or 0) end
    return n
  end

  it("applies the host's files and the app's, once, in the order of their numbers", function()
    assert.same({ ["1_a.sql"] = "pending", ["010_c.sql"] = "pending" }, (status()))
    local code, out, err = migrate()
    assert.equal(0, code, err)
    assert.equal(("%d applied: %d of the host, 2 of the app\n"):format(count_own() + 2, count_own()), out)
    assert.equal(0, db:value "SELECT count(*) FROM rbf_results")
    local files, own
    files, own, code = status()
    assert.equal(0, code)
    assert.same({ ["1_a.sql"] = "applied", ["010_c.sql"] = "applied" }, files)
    assert.same({ applied = count_own() }, own)
    proc.write_file(app .. "/migrations/9_b.sql", "INSERT INTO a SELECT max(x) + 7 FROM a;\n")
    code, out = migrate()
    assert.same({ 0, "1 applied: 0 of the host, 1 of the app\n" }, { code, out })
    code, out = migrate()
    assert.same({ 0, "nothing to do: the tables are up to date\n" }, { code, out })
    assert.equal("1,10,17", db:value "SELECT string_agg(x::text, ',' ORDER BY x) FROM a")
  end)

  it("--status and --dry-run change nothing", function()
    for _, flag in ipairs { "--status", "--dry-run" } do
      local code, out, err = migrate(flag)
      assert.equal(0, code, err)
      assert.truthy(out:find "app +1_a.sql +pending\n", out)
      assert.truthy(out:find "host +001_rbf.sql +pending\n", out)
      assert.is_true(out:find "1_a.sql" < out:find "010_c.sql")
    end
    assert.equal(0, db:value "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
    migrate()
    local code, out = migrate "--dry-run"
    assert.same({ 0, "nothing to do: the tables are up to date\n" }, { code, out })
    code, out = migrate("--dry-run", "--json")
    assert.same({ 0, "[]\n" }, { code, out })
  end)

  it("refuses a file that was changed after it was applied, in one line, and applies nothing more", function()
    migrate()
    proc.write_file(app .. "/migrations/1_a.sql", "CREATE TABLE a (x bigint);\n")
    proc.write_file(app .. "/migrations/0_d.sql", "CREATE TABLE d (x int);\n") -- stands before it
    local code, out, err = migrate()
    assert.equal(1, code)
    assert.equal("", out)
    assert.truthy(err:find("rbf: " .. app .. "/migrations/1_a.sql was changed after it was applied (checksum then ", 1, true), err)
    assert.truthy(err:find("restore it, and add a new file for the change\n$"), err)
    assert.equal(1, select(2, err:gsub("\n", "")))
    assert.is_nil(db:query("SELECT to_regclass('d') AS d")[1].d)
    local files, _, status_code, said = status()
    assert.equal(1, status_code)
    assert.truthy(said:find "changed after it was applied", said)
    assert.same({ ["1_a.sql"] = "changed", ["010_c.sql"] = "applied", ["0_d.sql"] = "pending" }, files)
    code, _, err = migrate "--dry-run"
    assert.equal(1, code)
    assert.truthy(err:find "restore it", err)
  end)

  it("tells of files that are gone, and leaves their tables alone", function()
    migrate()
    os.remove(app .. "/migrations/010_c.sql")
    local files, _, code = status()
    assert.same({ 0, { ["1_a.sql"] = "applied", ["010_c.sql"] = "gone" } }, { code, files })
    assert.equal(0, (migrate()))
    assert.equal(2, db:value "SELECT count(*) FROM a")
  end)

  it("undoes a file that fails, all of it, and names file and line", function()
    proc.write_file(app .. "/migrations/011_d.sql", "CREATE TABLE d (x int);\n\nINSERT INTO nowhere VALUES (1);\n")
    proc.write_file(app .. "/migrations/012_e.sql", "CREATE TABLE e (x int);\n")
    local code, _, err = migrate()
    assert.equal(1, code)
    assert.truthy(err:find(app .. "/migrations/011_d.sql:3: relation \"nowhere\" does not exist", 1, true), err)
    assert.is_nil(db:query("SELECT to_regclass('d') AS d")[1].d)
    assert.is_nil(db:query("SELECT to_regclass('e') AS e")[1].e)
    assert.same({ ["1_a.sql"] = "applied", ["010_c.sql"] = "applied", ["011_d.sql"] = "pending", ["012_e.sql"] = "pending" },
      (status()))
  end)

  it("waits for another that migrates the same database, and says so", function()
    db:query("SELECT pg_advisory_lock" .. LOCK)
    local log = app .. "/log.txt"
    local waiting = proc.spawn { host.binary(), "db:migrate", app, "--database-url", url, out = log, err = log }
    host.eventually(function()
      return (proc.read_file(log) or ""):find "another process applies migrations"
    end, 20000, "the message that it waits")
    assert.is_nil(db:query("SELECT to_regclass('a') AS a")[1].a)
    db:query("SELECT pg_advisory_unlock" .. LOCK)
    assert.equal(0, waiting:wait(20000))
    assert.equal(2, db:value "SELECT count(*) FROM a")
  end)

  it("shows on a terminal which file takes long", function()
    proc.write_file(app .. "/migrations/011_d.sql", "SELECT pg_advisory_xact_lock(7);\n")
    db:query "SELECT pg_advisory_lock(7)"
    local log, words = app .. "/log.txt", ("%s db:migrate %s --database-url '%s'"):format(host.binary(), app, url)
    local running = proc.spawn { "script", "-qec", words, "/dev/null", out = log, err = log }
    local function said() return proc.read_file(log) or "" end
    host.eventually(function() return said():find "\r\27%[Kapplying 011_d.sql %d+s" end, 20000, said)
    db:query "SELECT pg_advisory_unlock(7)"
    assert.equal(0, running:wait(20000))
    assert.truthy(said():find "\r\27%[K[^\n]*migration applied[^\n]*011_d.sql", said())
    assert.is_nil(said():find("applying 010_c.sql", 1, true))
  end)

  it("many at once apply each file once", function()
    local running = {}
    for i = 1, 6 do
      running[i] = proc.spawn { host.binary(), "db:migrate", app, "--database-url", url }
    end
    for i = 1, 6 do assert.equal(0, running[i]:wait(30000)) end
    assert.equal(2, db:value "SELECT count(*) FROM a")
  end)

  it("goes on from db:init --apply, whose files are the host's", function()
    assert.equal(0, (host.rbf("db:init", "--apply", "--database-url", url)))
    local code, out = migrate()
    assert.same({ 0, "2 applied: 0 of the host, 2 of the app\n" }, { code, out })
    code, out = host.rbf("db:init", "--apply", "--database-url", url)
    assert.same({ 0, "nothing to do: the tables are up to date\n" }, { code, out })
  end)

  it("finds its database in main.lua, and says what to do without one", function()
    local code, _, err = host.rbf("db:migrate", app, { cwd = app })
    assert.equal(1, code)
    assert.truthy(err:find("no database: set DATABASE_URL, pass --database-url URL, or start `rbf dev " .. app, 1, true), err)
    proc.write_file(app .. "/main.lua", ([[return require("rbf").createBackend(require "app", { db = %q })]]):format(url))
    code, _, err = host.rbf("db:migrate", app, { cwd = app })
    assert.equal(0, code, err)
    assert.equal(2, db:value "SELECT count(*) FROM a")
    code, _, err = migrate "--json"
    assert.equal(1, code)
    assert.truthy(err:find "%-%-json is for db:migrate %-%-status", err)
  end)

  it("is what a running rbf dev did at its start, and what applies a new file there", function()
    local state, log = app .. "/.state", app .. "/log.txt"
    local env = { DATABASE_URL = false, NATS_URL = false }
    local dev = proc.spawn { host.binary(), "dev", app, "--state-dir", state, out = log, err = log, env = env }
    finally(function() dev:finish("TERM", 20000) end)
    host.eventually(function()
      return (proc.read_file(log) or ""):find("Ctrl-C", 1, true)
    end, 60000, function() return "rbf dev; it said: " .. (proc.read_file(log) or "") end)
    local code, out, err = host.rbf("db:migrate", app, "--state-dir", state)
    assert.same({ 0, "nothing to do: the tables are up to date\n" }, { code, out }, err)
    proc.write_file(app .. "/migrations/011_d.sql", "CREATE TABLE d (x int);\n")
    code, out, err = host.rbf("db:migrate", app, "--state-dir", state)
    assert.same({ 0, "1 applied: 0 of the host, 1 of the app\n" }, { code, out }, err)
    -- another app's tables have no business in that database
    code, out, err = host.rbf("db:migrate", "handlers", "--state-dir", state)
    assert.same({ 1, "" }, { code, out })
    assert.truthy(err:find "no database", err)
  end)
end)
