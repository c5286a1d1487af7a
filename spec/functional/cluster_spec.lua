-- Three nats-servers, three replicas of each stream: a host is started before the cluster is whole, and
-- each server is killed once.
local host = require "spec.support.host"
local proc = require "spec.support.proc"
local servers = require "spec.support.servers"

local APP = {
  ["app.lua"] = [[
local rbf = require "rbf"
local app = rbf.defineBackend { queues = { jobs = { replicas = 3, ackWait = { seconds = 3 }, timeout = { seconds = 2 } } } }
local note = app:mutation("jobs", { path = "note", input = rbf.z.object { by = rbf.z.string() },
  handler = function(r) r.db:exec("INSERT INTO notes (by) VALUES ($1)", r.input.by) end })
return { note = note }
]],
  ["migrations/001_notes.sql"] = "CREATE TABLE notes (by TEXT NOT NULL);",
}

describe("a cluster of three", function()
  local cluster, stage

  lazy_setup(function()
    cluster = servers.new_nats_cluster(3)
    stage = host.stage { app = APP, nats = cluster }
  end)

  lazy_teardown(function()
    stage:close()
    for _, server in ipairs(cluster) do server:stop() end
  end)

  -- As a client does: the same request until it is answered.
  local function note(id)
    proc.eventually(function()
      local ok, answer = pcall(stage.call, stage, "jobs.note", { by = id }, { id = id, timeout = 3000 })
      return ok and answer.status == 200
    end, 60000, "an answer to " .. id)
  end

  local function doctor()
    local _, out = host.rbf("doctor", stage.app, "--database-url", stage.db_url, "--nats-url", cluster.url,
      "--subject-prefix", stage.prefix)
    local minor = assert(tonumber(out:match "version 2%.(%d+)"), out)
    return minor, out:find("warning +cluster +nats%-server 2%.") ~= nil
  end

  it("is waited for by a host, and each of its servers can be killed", function()
    for i = 2, 3 do cluster[i]:stop() end
    local running = stage:start { no_wait = true }
    running:await_log "waiting for NATS's cluster"
    for i = 2, 3 do cluster[i]:start() end
    running:await_ready(1)
    note "all there"
    local consumer = stage.client:js("CONSUMER.INFO." .. stage.client:stream_of(stage:subject("jobs", "note")) .. ".jobs")
    assert.is_falsy(consumer.config.mem_storage, "it would be lost with its servers, one after the other")
    local minor, warned = doctor()
    assert.equal(minor < 10, warned)
    for i = 1, 3 do
      cluster[i]:stop()
      note("away " .. i)
      cluster[i]:start()
      note("back " .. i)
    end
    local found = {}
    for _, row in ipairs(stage.db:query "SELECT by, count(*)::int AS n FROM notes GROUP BY by ORDER BY by") do
      found[#found + 1] = row.by .. ": " .. row.n
    end
    assert.same({ "all there: 1", "away 1: 1", "away 2: 1", "away 3: 1", "back 1: 1", "back 2: 1", "back 3: 1" }, found)
  end)
end)
