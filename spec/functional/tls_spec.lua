-- A host, and the commands, over TLS to both servers, with passwords; both servers restart.
local certs = require "spec.support.certs"
local host = require "spec.support.host"
local proc = require "spec.support.proc"
local servers = require "spec.support.servers"

describe("over TLS", function()
  local postgres, nats_server, stage, running, dir, port, env

  lazy_setup(function()
    dir, port = certs.dir(proc.is_root() and "postgres" or nil), servers.free_port()
    postgres = servers.new_postgres {
      "-c", "ssl=on", "-c", "ssl_cert_file=" .. dir .. "/server.pem",
      "-c", "ssl_key_file=" .. dir .. "/server.key", "-c", "listen_addresses=127.0.0.1",
    }
    postgres:stop() -- the port cannot be told before its socket's URL is known
    local path = postgres.dir .. "/data/postgresql.auto.conf"
    local f = assert(io.open(path, "a"))
    f:write("port = ", port, "\n")
    f:close()
    f = assert(io.open(postgres.dir .. "/data/pg_hba.conf", "w"))
    f:write "local all postgres trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n"
    f:close()
    local socket_url = postgres.url
    postgres.url = function(self, database)
      return socket_url(self, database) .. "&port=" .. port
    end
    postgres:start()
    postgres.admin:exec "CREATE ROLE tls_host LOGIN SUPERUSER PASSWORD 'pg-secret'"
    nats_server = servers.new_nats {
      "--tls", "--tlscert=" .. dir .. "/server.pem", "--tlskey=" .. dir .. "/server.key",
      "--user=tls", "--pass=nats-secret", url = "tls://tls:nats-secret@",
      client = { ca = dir .. "/ca.pem" },
    }
    stage = host.stage { app = "handlers", postgres = postgres, nats = nats_server }
    env = {
      RBF_NATS_CA_FILE = dir .. "/ca.pem", NATS_URL = nats_server.url, RBF_SUBJECT_PREFIX = stage.prefix,
      DATABASE_URL = ("postgresql://tls_host:pg-secret@localhost:%s/%s?sslmode=verify-full&sslrootcert=%s/ca.pem")
        :format(port, stage.db_url:match "/(spec%d+)", dir),
    }
    stage.nats = { url = env.NATS_URL }
    stage.db_url = env.DATABASE_URL
    running = stage:start { env = { RBF_NATS_CA_FILE = env.RBF_NATS_CA_FILE } }
  end)

  lazy_teardown(function()
    host.close(stage)
    nats_server:stop()
    postgres:stop()
  end)

  local function create(email)
    return stage:call("jobs.users.create", { email = email, name = "Tess" })
  end

  it("a host serves", function()
    local answer = create "one@example.com"
    assert.equal(200, answer.status, answer.raw)
    assert.equal("t", stage.db:query("SELECT bool_and(s.ssl) AS ssl FROM pg_stat_ssl s JOIN pg_stat_activity a"
      .. " USING (pid) WHERE a.usename = 'tls_host'")[1].ssl)
  end)

  it("job:trigger, exec and db:init work", function()
    local _
    local code, out, err = host.rbf("job:trigger", "jobs.users.create", '{"email":"cli@example.com","name":"Cli"}',
      { env = env })
    assert.equal(0, code, err)
    assert.truthy(out:find "cli@example.com")
    local script = stage.dir .. "/script.lua"
    proc.write_file(script, [[print(require("rbf").backend.mutations.createUser {
      input = { email = "exec@example.com", name = "Exec" } }.email)]])
    code, out, err = host.rbf("exec", "--app", stage.app, script, { env = env })
    assert.equal(0, code, err)
    assert.equal("exec@example.com\n", out)
    code, _, err = host.rbf("db:init", "--apply", { env = env })
    assert.equal(0, code, err)
  end)

  it("a host outlives restarts of both servers", function()
    stage:restart_nats(nats_server, running)
    assert.equal(200, create("two@example.com").status)
    stage.db:close()
    postgres:stop()
    postgres:start()
    stage.db = require("spec.support.pg").connect(postgres:url(stage.db_url:match "/(spec%d+)"))
    assert.equal(200, create("three@example.com").status)
    assert.equal(1, #running:log "worker ready", "the worker was restarted")
  end)

  it("a host that is not let in says why in one line", function()
    local function refused(changes, ...)
      local with = {}
      for name, value in pairs(env) do
        with[name] = value
      end
      for name, value in pairs(changes) do
        with[name] = value
      end
      local code, out, err = host.rbf("run", stage.app, "--log-format", "json", { env = with })
      assert.not_equal(0, code)
      for _, word in ipairs { ... } do
        assert.truthy(err:find(word, 1, true), word .. " is not in: " .. out .. err)
      end
      assert.is_nil((out .. err):find("secret", 1, true), "a secret is in: " .. out .. err)
    end
    refused({ RBF_NATS_CA_FILE = false }, "not trusted", "--nats-ca-file")
    refused({ RBF_NATS_CA_FILE = false, NATS_URL = (env.NATS_URL:gsub("tls://", "nats://")) }, "demands TLS", "tls://")
    refused({ RBF_NATS_CA_FILE = "/no/such/ca.pem" }, "/no/such/ca.pem", "--nats-ca-file")
    refused({ DATABASE_URL = (env.DATABASE_URL:gsub("/ca.pem", "/other.pem")) }, "certificate verify failed",
      "sslrootcert")
    refused({ DATABASE_URL = (env.DATABASE_URL:gsub("verify%-full", "disable")) }, "no encryption", "verify-full")
  end)
end)
