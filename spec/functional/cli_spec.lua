-- The commands beside run.
local host = require "spec.support.host"
local nats = require "spec.support.nats"
local pg = require "spec.support.pg"
local servers = require "spec.support.servers"

describe("rbf", function()
  it("--help names the commands and the settings", function()
    local code, out, err = host.rbf "--help"
    assert.equal(0, code, err)
    for _, word in ipairs {
      "run", "dev", "db:init", "job:trigger", "exec", "--database-url", "--nats-url", "--workers", "DATABASE_URL",
    } do
      assert.truthy(out:find(word, 1, true), word .. " is not in: " .. out)
    end
  end)

  it("--version prints one line", function()
    local code, out = host.rbf "--version"
    assert.equal(0, code)
    assert.truthy(out:match "^rbf %d+%.%d+%.%d+[^\n]*\n$", out)
  end)

  describe("db:init", function()
    it("prints SQL that makes the tables", function()
      local code, out, err = host.rbf "db:init"
      assert.equal(0, code, err)
      local db = pg.connect(servers.postgres():new_database())
      db:exec(out)
      for _, name in ipairs { "rbf_outbox", "rbf_results", "rbf_dead_letters" } do
        assert.equal(0, db:value("SELECT count(*) FROM " .. name))
      end
      db:close()
    end)

    it("--apply makes them, as often as it is called", function()
      local url = servers.postgres():new_database()
      for _ = 1, 2 do
        local code, _, err = host.rbf("db:init", "--apply", "--database-url", url)
        assert.equal(0, code, err)
      end
      local db = pg.connect(url)
      assert.equal(0, db:value "SELECT count(*) FROM rbf_results")
      db:close()
    end)

    it("--apply without a database says what is missing", function()
      local code, _, err = host.rbf("db:init", "--apply")
      assert.not_equal(0, code)
      assert.truthy(err:find("DATABASE_URL", 1, true), err)
    end)
  end)

  describe("job:trigger", function()
    local stage

    lazy_setup(function()
      stage = host.stage { app = "handlers", args = { "--unknown-grace", "100ms" } }
      stage:start()
    end)

    lazy_teardown(function()
      host.close(stage)
    end)

    local function trigger(...)
      local words = { "job:trigger", ... }
      words[#words + 1] = "--nats-url"
      words[#words + 1] = stage.nats.url
      words[#words + 1] = "--subject-prefix"
      words[#words + 1] = stage.prefix
      return host.rbf(unpack(words))
    end

    it("prints the result and exits with 0", function()
      local code, out, err = trigger("jobs.users.create", '{"email":"cli@example.com","name":"Cli"}')
      assert.equal(0, code, err)
      assert.equal("cli@example.com", nats.decode(out:match "{.*}").email)
      local id = nats.decode(out:match "{.*}").id
      code, out = trigger("jobs.users.get." .. id)
      assert.equal(0, code)
      assert.truthy(out:find("Cli", 1, true))
    end)

    it("exits with 4 when the answer is a refusal", function()
      local code, out, err = trigger("jobs.users.create", '{"email":"nonsense","name":"Cli"}')
      assert.equal(4, code)
      assert.truthy((out .. err):find("BAD_REQUEST", 1, true), out .. err)
      assert.equal(4, (trigger("jobs.users.crate", "{}")))
    end)

    it("exits with an error when the JSON is none", function()
      local code, _, err = trigger("jobs.users.create", "{email:")
      assert.not_equal(0, code)
      assert.truthy(err:find "JSON", err)
    end)

    it("exits with an error when no stream takes the subject", function()
      local code, _, err = trigger("nothing.users.create", "{}")
      assert.not_equal(0, code)
      assert.truthy(#err > 0)
    end)

    it("exits with an error when there is no server", function()
      local code, _, err = host.rbf("job:trigger", "jobs.users.create", "{}", "--nats-url", "nats://127.0.0.1:1")
      assert.not_equal(0, code)
      assert.truthy(err:find("127.0.0.1:1", 1, true), err)
    end)
  end)
end)
