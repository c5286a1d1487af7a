-- rbf job:replay --dry-run: dead letters and stored requests on today's code, with nothing left of it.
local cjson = require "cjson"
local host = require "spec.support.host"
local proc = require "spec.support.proc"

describe("rbf job:replay --dry-run", function()
  local stage

  setup(function()
    stage = host.stage { app = "spec/apps/dryrun", args = { "--max-attempts", "2", "--retry-initial", "10ms" } }
    stage:start()
    local headers = { ["X-From"] = "shop", Authorization = "Bearer secret", ["Target-At"] = "1" }
    local function store(id, data)
      headers["Request-Id"] = id
      stage.client:store { subject = stage:subject("jobs", "place"), data = data, headers = headers }
    end
    store("dead", '{"what":"tea"}')
    store("deferred", '{"what":"milk","fails":"deferred"}')
    headers["X-Url"] = "http://127.0.0.1:1/"
    store("http", '{"what":"salt","fails":"http"}')
    store("invalid", '{"what":7}')
    store("unreadable", "no JSON")
    proc.eventually(function() return stage:count "rbf_dead_letters" == 5 end, 30000, "the letters")
    stage:write("price.lua", "return function() return 42 end")
    -- a second host on the mended code, for a request that succeeded
    stage.hosts[1]:stop()
    stage:start()
    local reply = stage.client:call(stage:subject("jobs", "place"), { what = "rice" }, { id = "stored" })
    assert.equal(200, reply.status)
    proc.eventually(function() return stage:stored "jobs" == 0 end, 30000, "an empty stream")
    stage.hosts[2]:stop()
    stage.db:exec "INSERT INTO orders (what, price) VALUES ('tea', 1)"
  end)

  teardown(function() host.close(stage) end)

  before_each(function() stage:write("price.lua", "return function() return 42 end") end)

  --- All that could tell that something was stored.
  local function everything()
    local parts = {}
    for _, name in ipairs { "orders", "audit", "stamps", "rbf_results", "rbf_outbox", "rbf_dead_letters" } do
      parts[#parts + 1] = stage.db:value(("SELECT COALESCE(string_agg(t::text, '' ORDER BY t::text), '') FROM %s t"):format(name))
    end
    parts[#parts + 1] = tostring((stage:stored "jobs"))
    return table.concat(parts, "\n")
  end

  local function dry_run(id, ...)
    local before = everything()
    local words = { "job:replay", id, stage.app, "--dry-run", "--subject-prefix", stage.prefix, "--database-url",
      stage.db_url, ... }
    local code, out, err = host.rbf(unpack(words))
    assert.equal(before, everything())
    return code, out, err
  end

  local function report(id, ...)
    local code, out, err = dry_run(id, "--json", ...)
    assert.equal("", err)
    return cjson.decode(out), code
  end

  it("shows what today's code makes of a dead letter, beside what happened then", function()
    local r, code = report "dead"
    assert.equal(0, code)
    assert.same({ "dead", "jobs.place" }, { r.requestId, r.subject })
    assert.same({ what = "tea" }, r.input)
    assert.same({ ["RBF-Request-Id"] = "dead", ["X-From"] = "shop" }, r.headers)
    local then_ = r["then"].deadLetter
    assert.equal(2, then_.attempts)
    assert.matches("price.lua:1: attempt to index field 'price'", then_.error.message)
    assert.equal(500, r["then"].result.status)
    assert.not_equal(then_.codeVersion, r.codeVersion)
    assert.same({ status = 200, data = { price = 42, from = "shop" } }, r.today)
    assert.same({ "secrets are not kept in dead letters: it ran without the header Authorization" }, r.notes)
  end)

  it("shows the SQL that writes, and the rows", function()
    local r = report "dead"
    assert.equal(4, #r.writes)
    local update, insert, undone, failed = unpack(r.writes)
    assert.equal("UPDATE orders SET price = 0 WHERE what = $1", update.sql)
    assert.same({ { "tea" }, 1 }, { update.params, update.rows })
    assert.matches("orders.lua:15$", update.at)
    assert.matches('^INSERT INTO "orders"', insert.sql)
    assert.is_nil(insert.undone)
    table.sort(insert.params, function(a, b) return tostring(a) < tostring(b) end)
    assert.same({ 42, "<2 bytes>", "tea" }, insert.params)
    assert.is_true(undone.undone)
    assert.is_true(failed.undone)
    assert.matches('null value in column "what"', failed.error)
    local rows = {}
    for _, t in ipairs(r.rows) do rows[t.table] = { t.inserted, t.updated, t.deleted } end
    assert.same({ 1, 1, 0 }, rows.orders)
    assert.is_true(rows.audit[1] >= 1) -- the trigger's
  end)

  it("shows what would have been scheduled, published and invalidated", function()
    local r = report "dead"
    assert.equal(2, #r.scheduled)
    local now, later = unpack(r.scheduled)
    assert.same({ "jobs.mail.$to", "jobs.mail.ada", { price = 42 } }, { now.operation, now.subject, now.input })
    assert.is_nil(now.at)
    assert.equal("later", later.requestId)
    assert.is_true(math.abs(later.at - proc.epoch_ms() - 3600000) < 600000)
    assert.equal("news.orders", r.published[1].subject)
    assert.same({ what = "tea" }, r.published[1].payload)
    assert.same({ "orders:tea" }, r.invalidated)
  end)

  it("finds a letter by its own id, and a stored request", function()
    local id = stage.db:value "SELECT id::text FROM rbf_dead_letters WHERE request_id = 'dead'"
    assert.equal("dead", report(id).requestId)
    local r, code = report "stored"
    assert.equal(0, code)
    assert.is_nil(r["then"].deadLetter)
    assert.same({ 200, 42 }, { r["then"].result.status, r["then"].result.data.price })
    assert.equal(42, r.today.data.price)
    assert.same({ "results are stored without the request's headers: it ran with none" }, r.notes)
  end)

  it("shows how it fails today, with exit code 2", function()
    stage:write("price.lua", "return function()\n  error 'still broken'\nend")
    local r, code = report "dead"
    assert.equal(2, code)
    assert.equal(500, r.today.status)
    assert.matches("price.lua:2: still broken", r.today.internal)
    assert.is_number(r.today.retryMs)
    assert.equal(1, #r.writes)
    assert.same({}, r.scheduled)
    stage:write("price.lua", "return function() return 42 end")
    r, code = report "deferred" -- only COMMIT would tell
    assert.equal(2, code)
    assert.same({ 409, "CONFLICT", "23505" }, { r.today.status, r.today.error.code, r.today.sqlstate })
    assert.matches("^WITH s AS", r.writes[#r.writes].sql)
    r, code = report "invalid"
    assert.same({ 2, 400 }, { code, r.today.status })
    assert.same({ "what" }, r.today.error.issues[1].path)
  end)

  it("sends no requests to other servers unless it is told to", function()
    local r, code = report "http"
    assert.equal(2, code)
    assert.matches("orders.lua:27: .*rbf.http is refused in a dry run.*%-%-allow%-http", r.today.internal)
    r = report("http", "--allow-http")
    assert.matches("orders.lua:27: .*HTTP_CONNECT", r.today.internal)
  end)

  it("prints it for people", function()
    local code, out, err = dry_run "dead"
    assert.equal(0, code, out .. err)
    for _, line in ipairs {
      "jobs.place  request dead\n", 'input  {"what":"tea"}\n', "then   dead letter of ", ", after 2 attempts, on version ",
      "       500 INTERNAL_SERVER_ERROR: ", "today  version ", '       200 {"', "\nIt would write\n",
      "  UPDATE orders SET price = 0 WHERE what = $1\n    $1 = \"tea\"\n    1 row, ", "    undone by its savepoint, ",
      "  orders: 1 inserted, 1 updated, 0 deleted\n", "\nIt would schedule", '\n  jobs.mail.ada {"price":42}\n',
      '\nIt would publish\n  news.orders {"what":"tea"}\n', "\nIt would invalidate in the cache\n  orders:tea\n",
    } do
      assert.truthy(out:find(line, 1, true), line .. "\nin\n" .. out)
    end
  end)

  it("takes app and servers of the rbf dev that runs here", function()
    local dir, state = proc.temp_dir "dev", proc.temp_dir "state"
    proc.copy_tree(stage.app, dir .. "/app")
    local process = proc.spawn {
      host.binary(), "dev", "app", "--state-dir", state, cwd = dir, out = dir .. "/log", err = dir .. "/log",
      env = { DATABASE_URL = false, NATS_URL = false },
    }
    proc.eventually(function() return (proc.read_file(dir .. "/log") or ""):find("Ctrl-C stops", 1, true) end, 60000, "dev")
    local o = { cwd = dir }
    assert.equal(0, (host.rbf("job:trigger", "jobs.place", '{"what":"tea"}', "--request-id", "one", "--state-dir", state, o)))
    local code, out, err = host.rbf("job:replay", "one", "--dry-run", "--state-dir", state, o)
    process:finish()
    assert.equal(0, code, out .. err)
    assert.truthy(out:find('then   stored result of .-\n       200 {"price":42}\ntoday  version %x+, all of it rolled back\n'
      .. '       200 {"price":42}\n'), out)
  end)

  it("says what cannot be run, with exit code 1", function()
    local function said(pattern, id, ...)
      local code, out, err = dry_run(id, ...)
      assert.same({ 1, "" }, { code, out })
      assert.matches(pattern, err)
      assert.equal(1, select(2, err:gsub("\n", "")))
    end
    said("^rbf: no dead letter or stored result in namespace 'default' has the id or request id nobody", "nobody")
    said("its payload is no JSON that a handler could get", "unreadable")
    said("does not begin with the prefix 'x%.'", "dead", "--subject-prefix", "x.")
    said("^rbf: usage: rbf job:replay ID", "dead", "--all")
    stage:write("orders.lua", (stage:read "orders.lua":gsub('path = "place"', 'path = "placed"')))
    said("no operation of today's code takes jobs.place: was it renamed%?", "dead")
    stage:write("price.lua", "return {\n")
    said("price.lua:", "dead")
  end)
end)
