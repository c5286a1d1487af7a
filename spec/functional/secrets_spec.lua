-- No secret in a line of output, whatever fails.
local certs = require "spec.support.certs"
local host = require "spec.support.host"
local proc = require "spec.support.proc"
local servers = require "spec.support.servers"

-- In every place of a URL that takes one.
local SECRET = "hunter2-%40-x"
local MARKS = { "hunter2", "%%40%-x" } -- also halves of it

local function assert_clean(text, what)
  what = what:gsub("hunter2", "…")
  for _, mark in ipairs(MARKS) do
    local at = text:find(mark)
    assert.is_nil(at, at and ("%s tells a secret: %s"):format(what, text:sub(math.max(1, at - 200), at + 100)))
  end
end

describe("secrets in URLs are not told", function()
  local db, nats_url, web_port, plain_port, tls_nats, auth_nats

  lazy_setup(function()
    local dir = certs.dir()
    local postgres, plain = servers.postgres(), servers.nats()
    db = postgres:new_database()
    assert.equal(0, (host.rbf("db:init", "--apply", "--database-url", db)))
    nats_url, plain_port = plain.url, plain.port
    tls_nats = servers.new_nats {
      "--tls", "--tlscert=" .. dir .. "/elsewhere.pem", "--tlskey=" .. dir .. "/elsewhere.key",
    }
    auth_nats = servers.new_nats { "--user=someone", "--pass=else" }
    web_port = auth_nats.port
  end)

  lazy_teardown(function()
    tls_nats:stop()
    auth_nats:stop()
  end)

  local function databases()
    local socket = db:match "host=([^&]*)"
    return {
      "postgresql://me:" .. SECRET .. "@127.0.0.1:1/x",
      "postgresql://me:" .. SECRET .. "@no.such.host.invalid/x",
      "postgresql://me:" .. SECRET .. "@127.0.0.1:" .. web_port .. "/x", -- no PostgreSQL
      "postgresql://nobody_here:" .. SECRET .. "@/x?host=" .. socket,
      "postgresql://postgres:" .. SECRET .. "@/nope?host=" .. socket,
      "postgresql://postgres:" .. SECRET .. "@/nope?sslmode=verify-full&hast=" .. socket,
      "postgresql://postgres@/x?sslmode=nonsense&password=" .. SECRET .. "&host=" .. socket,
      "postgresql://me:" .. SECRET .. "@127.0.0.1:" .. plain_port .. "/x?sslmode=verify-full&sslpassword=" .. SECRET,
      "postgresql://me:" .. SECRET .. "/@host:port/x",
      "postgresql://me:pa ss" .. SECRET .. "@host/x",
      "host=/nonexistent user=me password=" .. SECRET,
      "host=/nonexistent user=me password='" .. SECRET,
      "me:" .. SECRET .. "@host/db",
    }
  end

  local function nats_urls()
    return {
      "nats://me:" .. SECRET .. "@127.0.0.1:1", "nats://" .. SECRET .. "@127.0.0.1:1",
      "nats://me:" .. SECRET .. "@127.0.0.1:" .. auth_nats.port,
      "nats://" .. SECRET .. "@127.0.0.1:" .. auth_nats.port,
      "nats://me:" .. SECRET .. "@127.0.0.1:" .. tls_nats.port,
      "tls://me:" .. SECRET .. "@127.0.0.1:" .. tls_nats.port,
      "tls://me:" .. SECRET .. "@127.0.0.1:" .. plain_port,
      "nats://me:" .. SECRET .. "@no.such.host.invalid:4222",
      "nats://me:" .. SECRET .. "@127.0.0.1:1,nats://" .. SECRET .. "@127.0.0.1:2",
      "nats://me:" .. SECRET .. "," .. SECRET .. "@127.0.0.1:1",
      "http://me:" .. SECRET .. "@127.0.0.1:1", "nats://me:" .. SECRET .. "@127.0.0.1:port",
      "nats:/me:" .. SECRET .. "@127.0.0.1:1", SECRET .. "@127.0.0.1:1",
    }
  end

  local function attempt(what, ...)
    local words = { ... }
    local code, out, err = host.rbf(unpack(words))
    assert.not_equal(0, code, what)
    assert.truthy(#err > 0, what .. " fails without a word")
    assert_clean(out .. err, what)
  end

  it("by a host that cannot start", function()
    for _, url in ipairs(databases()) do
      attempt("run: " .. url, "run", "handlers", "--log-level", "debug", "--log-format", "json",
        { env = { DATABASE_URL = url, NATS_URL = nats_url, RBF_SUBJECT_PREFIX = "sec." } })
    end
    for _, url in ipairs(nats_urls()) do
      attempt("run: " .. url, "run", "handlers", "--log-level", "debug", "--log-format", "json",
        { env = { DATABASE_URL = db, NATS_URL = url, RBF_SUBJECT_PREFIX = "sec." } })
    end
  end)

  it("by commands", function()
    local script = proc.temp_dir "script" .. "/script.lua"
    proc.write_file(script, "print(1)")
    for _, url in ipairs(databases()) do
      attempt("db:init: " .. url, "db:init", "--apply", "--database-url", url)
      attempt("job:replay: " .. url, "job:replay", "--all", "--database-url", url)
    end
    for _, url in ipairs(nats_urls()) do
      attempt("job:trigger: " .. url, "job:trigger", "jobs.users.create", "{}", "--nats-url", url)
      attempt("exec: " .. url, "exec", "--app", "handlers", "--nats-url", url, script)
    end
  end)

  it("by main.lua", function()
    for _, option in ipairs { "db", "nats" } do
      local dir = proc.temp_dir "main"
      proc.copy_tree("handlers", dir .. "/app")
      proc.write_file(dir .. "/app/main.lua", ([[
        local rbf = require "rbf"
        return rbf.createBackend(require("app").app, { %s = "%s" })
      ]]):format(option, "ftp://me:" .. SECRET .. "@host"))
      attempt("main.lua", "run", dir .. "/app", "--log-level", "debug", { env = { DATABASE_URL = option == "nats" and db or nil } })
    end
  end)

  it("by a host that loses its servers, and is not let in again", function()
    local own_pg = servers.new_postgres()
    local own_nats = servers.new_nats { "--user=me", "--pass=hunter2", url = "nats://me:hunter2@" }
    local f = assert(io.open(own_pg.dir .. "/data/pg_hba.conf", "w"))
    f:write "local all postgres trust\nlocal all all scram-sha-256\n"
    f:close()
    own_pg.admin:exec "SELECT pg_reload_conf(); CREATE ROLE me SUPERUSER LOGIN PASSWORD 'hunter2-@-x'"
    local stage = host.stage { app = "handlers", postgres = own_pg, nats = own_nats }
    local running = stage:start {
      urls_by_env = true, args = { "--log-level", "debug" },
      env = { DATABASE_URL = (stage.db_url:gsub("postgres@", "me:" .. SECRET:gsub("%%", "%%%%") .. "@")) },
    }
    for _, pid in ipairs { running.process.pid, unpack(running:workers()) } do
      assert_clean((proc.read_file("/proc/" .. pid .. "/cmdline"):gsub("%z", " ")), "an argument")
    end
    assert.equal(200, stage:call("jobs.users.create", { email = "s@example.com", name = "Sue" }).status)
    own_pg.admin:exec "ALTER ROLE me PASSWORD 'other'"
    own_pg.admin:exec "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'me'"
    running:await_log(function(line) -- one connection may live on
      return line.msg == "PostgreSQL is away" or line.msg == "no further connection to PostgreSQL"
    end)
    own_nats:stop()
    running:await_log "NATS is away; waiting"
    own_nats.options[2] = "--pass=other"
    own_nats:start()
    running:await_log "NATS closed the connection for good"
    running:await_log(function(line)
      return (line.error or ""):find "refused the credentials" or (line.error or ""):find "password authentication"
    end)
    running.process:finish("TERM", 20000)
    assert_clean(assert(proc.read_file(running.log_path)), "the log")
    stage.db:close()
    stage.client:close()
    own_nats:stop()
    own_pg:stop()
  end)
end)
