-- Values on their way through handlers, tables and savepoints.
local host = require "spec.support.host"
local nats = require "spec.support.nats"
local proc = require "spec.support.proc"

-- JSON text without the white space between its tokens.
local function squeeze(text)
  local out = {}
  for outside, inside in (text .. '""'):gmatch('([^"]*)("[^"]*")') do
    out[#out + 1] = (outside:gsub("%s", "")) .. inside
  end
  out[#out] = out[#out]:sub(1, -3)
  return table.concat(out)
end

local CASES = {
  "[]", "{}", "null", "true", "false", "0", "-1", "1.5", '""', '"é"', "[null]", "[[],{}]", '{"a":[]}',
  '{"a":{}}', '{"a":null}', "[1,null,3]", "[null,null]", '[{"a":[{}]}]',
  "9007199254740992", "-9007199254740992", "9007199254740991", "123456789012345", "1234567890123456",
  "0.1", "-2.675", '"\\\\\\n\\u0001/"', '"1"', '{"1":"one"}', "[[[[[[[[1]]]]]]]]",
}

describe("JSON", function()
  local stage

  lazy_setup(function()
    stage = host.stage {
      app = "spec/apps/values", args = { "--max-attempts", "2", "--retry-initial", "10ms" },
    }
    stage:start()
  end)

  lazy_teardown(function()
    host.close(stage)
  end)

  for _, text in ipairs(CASES) do
    it("comes back from a handler as it went in: " .. text, function()
      local id = nats.uuid()
      local reply = stage:call("jobs.echo", text, { id = id })
      assert.equal(200, reply.status, reply.raw)
      assert.equal(squeeze(text), squeeze(reply.raw))
      local stored = stage:call("jobs.echo", text, { id = id })
      assert.equal(squeeze(text), squeeze(stored.raw), "the stored reply")
      local column = stage:call("jobs.column", text)
      if text == "null" then
        assert.equal(200, column.status, column.raw)
      else
        assert.equal(squeeze(text), squeeze(column.raw), "through a jsonb column")
      end
    end)
  end

  it("keeps the value of a number, however it was spelt", function()
    for _, text in ipairs { "1e2", "1.0", "1e+300", "1E300", "-0.0", "123456789012345680000.0", "5e-324" } do
      for _, path in ipairs { "jobs.echo", "jobs.column" } do
        assert.equal(tonumber(text), tonumber(stage:call(path, text).raw), path .. ": " .. text)
      end
    end
  end)

  it("with an integer that a double cannot hold is refused, not rounded", function()
    for _, text in ipairs { "9007199254740993", "100000000000000000000" } do
      assert.equal(400, stage:call("jobs.echo", text).status, text)
    end
  end)

  it("reaches a follow-up task as it was enqueued", function()
    stage.db:exec "TRUNCATE stored"
    for _, text in ipairs(CASES) do
      assert.equal(200, stage:call("jobs.forward", text).status)
    end
    stage:settle { "jobs", "events" }
    for _, text in ipairs(CASES) do
      assert.truthy(stage.db:value("SELECT count(*) FROM stored WHERE value = $1::jsonb", text) >= 1,
        text .. " did not arrive")
    end
    assert.equal(#CASES, stage:count "stored")
  end)

  it("of many keys and deep nesting survives", function()
    local parts = {}
    for i = 1, 500 do
      parts[i] = ('"k%03d":[%d,{"v":null,"w":[]}]'):format(i, i)
    end
    local text = "{" .. table.concat(parts, ",") .. "}"
    local reply = stage:call("jobs.column", text)
    assert.equal(200, reply.status)
    assert.equal(1, stage.db:value("SELECT ($1::jsonb = $2::jsonb)::int", text, reply.raw))
  end)

  it("is made of column types", function()
    local reply = stage:call "jobs.typed"
    assert.equal(200, reply.status, reply.raw)
    assert.equal(1, stage.db:value("SELECT ($1::jsonb = $2::jsonb)::int", reply.raw, [[
      {"i": 7, "big": 9007199254740992, "num": "1.50", "yes": true, "list": [1, 2], "none": [],
       "doc": {"a": []}, "text": "é", "half": 0.5}]]), reply.raw)
  end)

  it("never rounds an integer: beyond 2^53 is an error", function()
    assert.equal(500, stage:call("jobs.tooBig").status)
  end)
end)

describe("a savepoint", function()
  local stage, running

  lazy_setup(function()
    stage = host.stage {
      app = "spec/apps/values", args = { "--max-attempts", "2", "--retry-initial", "10ms" },
    }
    running = stage:start()
  end)

  lazy_teardown(function()
    host.close(stage)
  end)

  it("undoes its own part, scheduled tasks as well", function()
    local reply = stage:call "jobs.savepoints"
    assert.equal(200, reply.status, reply.raw)
    local b = reply.body
    assert.same({ false, "23505", false, true, 1, "two" }, { b.dup, b.sqlstate, b.own, b.kept, b.a, b.b })
    assert.truthy(b.own_err:find "changed my mind")
    stage:settle { "jobs", "events" }
    assert.same({ { name = "inner" }, { name = "outer" } },
      stage.db:query "SELECT name FROM items ORDER BY name")
    assert.same({ { value = '"kept"' } }, stage.db:query "SELECT value FROM stored")
  end)

  it("does not catch rbf.fail, nor does pcall", function()
    local reply = stage:call "jobs.failInside"
    assert.equal(409, reply.status, reply.raw)
    assert.equal("INSIDE", reply.body.code)
  end)

  describe("or a task too large for NATS", function()
    local LIMIT = 1024 * 1024

    it("is refused before COMMIT, and nothing is lost or left", function()
      local reply = stage:call("jobs.big", { enqueue = LIMIT + 1000 }, { id = "bigtask" })
      assert.truthy(reply.status >= 400, reply.raw)
      stage:settle { "jobs", "events" }
      assert.equal(0, stage.db:value "SELECT count(*) FROM items WHERE name LIKE 'big %'")
    end)

    it("as a reply is an error to the caller", function()
      local reply = stage:call("jobs.big", { reply = LIMIT + 1000 }, { id = "bigreply" })
      assert.truthy(reply.status >= 400, reply.raw:sub(1, 200))
      stage:settle { "jobs", "events" }
    end)

    it("leaves the host as it was", function()
      assert.equal(200, stage:call("jobs.big", { enqueue = 1000, reply = 100000 }).status)
      stage:settle { "jobs", "events" }
      assert.equal(1, #running:log "worker ready")
      proc.eventually(function()
        return stage.db:value "SELECT count(*) FROM stored WHERE length(value::text) = 1002" == 1
      end, 5000, "the task of 1,000 bytes")
    end)
  end)
end)
