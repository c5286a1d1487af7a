-- Our host and the published TypeScript package in one database and one NATS: its client calls our
-- handlers unchanged, its worker runs beside ours, follow-ups cross both ways. Run by tests/interop/run.
local cjson = require "cjson"
local host = require "spec.support.host"
local proc = require "spec.support.proc"

local build = assert(os.getenv "RBF_INTEROP", "run tests/interop/run")

describe("the TypeScript package", function()
  local stage, process, lines, out

  lazy_setup(function()
    stage = host.stage { app = "tests/interop/app", args = { "--unknown-grace", "0ms" } }
    stage:start { args = { "--orphan-after", "500ms" } }
    local user, name, address = stage.db_url:match "://([^@:/]+)@/([^/?]+)%?host=([^&]+)$"
    assert(name, "a URL with a socket's folder: " .. stage.db_url)
    address = address:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end)
    out = stage.dir .. "/theirs.out"
    local keep = stage.dir .. "/keep"
    assert(os.execute("mkfifo " .. keep))
    process = proc.spawn {
      "/bin/sh", "-c", "exec node theirs.mjs 3<>" .. keep .. " <&3", cwd = build, out = out, err = out,
      env = {
        NATS = stage.nats.url, PREFIX = stage.prefix, PGHOST = address, PGPORT = "5432",
        PGUSER = user, PGDATABASE = name,
      },
    }
    proc.eventually(function()
      return (proc.read_file(out) or ""):find '"relay 10"' or not process:alive()
    end, 90000, function()
      return "the package; it said:\n" .. (proc.read_file(out) or "")
    end)
    lines = {}
    for text in (proc.read_file(out) or ""):gmatch "[^\n]+" do
      local ok, line = pcall(cjson.decode, text)
      assert(ok, text)
      lines[line.name] = line
    end
  end)

  lazy_teardown(function()
    if process then process:finish("KILL") end
    if stage then stage.client:js("STREAM.DELETE.theirs") end
    host.close(stage)
  end)

  local function answer(name)
    return assert(lines[name], name .. "; it said:\n" .. (proc.read_file(out) or ""))
  end

  describe("as a client", function()
    local thing = { id = "a b/ü", text = "hello" }

    it("gets results", function()
      assert.same(thing, answer("put").ok)
      assert.same(thing, answer("get").ok)
      assert.equal(cjson.null, answer("get nothing").ok)
    end)

    it("gets the first result again under its request id, and nothing else under it", function()
      assert.same(thing, answer("the same again").ok)
      assert.equal("REQUEST_ID_CONFLICT", answer("another under its id").code)
      assert.equal(1, stage:count "things")
    end)

    it("gets errors with their codes", function()
      assert.same({ "CONFLICT", "taken" }, { answer("taken").code, answer("taken").message })
      assert.equal("BAD_REQUEST", answer("bad input").code)
      assert.matches("text: Too small", answer("bad input").message)
      assert.equal("NOT_FOUND", answer("no such path").code)
    end)
  end)

  describe("as a worker beside ours", function()
    local function eventually(n, sql)
      proc.eventually(function()
        return tonumber(stage.db:value(sql)) == n
      end, 60000, function()
        return ("%d by %s, found %s; it said:\n%s"):format(n, sql, stage.db:value(sql), proc.read_file(out))
      end)
    end

    it("runs our follow-ups, once each, timed ones too, and we run its", function()
      for i = 1, 10 do assert.is_nil(answer("relay " .. i).code) end
      eventually(20, "SELECT count(DISTINCT number) FROM theirs")
      eventually(20, "SELECT count(DISTINCT number) FROM ours")
      stage:settle({ "jobs", "theirs" }, 30000)
      assert.equal(20, stage:count "theirs")
      assert.equal(20, stage:count "ours")
    end)

    it("keeps its rows in its own namespace", function()
      assert.equal(20, tonumber(stage.db:value "SELECT count(*) FROM rbf_results WHERE namespace = 'theirs'"))
      assert.equal(0, tonumber(stage.db:value "SELECT count(*) FROM rbf_results WHERE namespace NOT IN ('default', 'theirs')"))
      assert.equal(0, stage:count "rbf_outbox")
      assert.equal(0, stage:count "rbf_dead_letters")
      assert.is_nil(lines["internal error"])
    end)
  end)
end)
