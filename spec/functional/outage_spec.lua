-- PostgreSQL and NATS go away in the midst of work and come back.
local host = require "spec.support.host"
local servers = require "spec.support.servers"
local pg = require "spec.support.pg"
local proc = require "spec.support.proc"

local N = host.scaled(500, 100)

describe("an outage", function()
  local postgres, nats_server, stage, running

  lazy_setup(function()
    postgres, nats_server = servers.new_postgres(), servers.new_nats()
  end)

  lazy_teardown(function()
    postgres:stop()
    nats_server:stop()
  end)

  before_each(function()
    stage = host.stage { app = "handlers", postgres = postgres, nats = nats_server }
    stage:shorten_ack_wait()
    running = stage:start()
  end)

  after_each(function()
    host.close(stage)
  end)

  local function begin()
    return stage:start_many("jobs.users.create", N, function(i)
      return { email = ("user%d@example.com"):format(i), name = "User " .. i }
    end)
  end

  -- Some are answered, most are not.
  local function midway(requests)
    stage.client:pump_until(function()
      return requests[math.ceil(N / 10)].reply
    end, 20000)
  end

  -- What the server did not confirm is sent again, under the same request id.
  local function resend_unconfirmed(requests)
    local n = 0
    proc.eventually(function()
      return stage.client:connected()
    end, 20000, "the client to be connected again")
    stage.client:wait_all(requests, 1000, "ack")
    for _, request in ipairs(requests) do
      if not request.ack then
        stage.client:send(request)
        n = n + 1
      end
    end
    return n
  end

  local function check_all(requests, name, resent)
    local missing = 0
    -- A reply can be lost with a connection that breaks (core NATS): asked again, the stored
    -- result answers.
    for _ = 1, 3 do
      missing = stage.client:wait_all(requests, 15000)
      if missing == 0 then
        break
      end
      for _, request in ipairs(requests) do
        if not request.reply then
          stage.client:send(request)
          resent = resent + 1
        end
      end
    end
    assert.equal(0, missing, "requests without a reply; the host said:\n" .. running:tail())
    stage:settle { "jobs", "events" }
    host.figures("outage", "%s: %d creates, %d sent again", name, N, resent)
    for _, request in ipairs(requests) do
      assert.equal(200, request.reply.status, request.reply.raw)
    end
    assert.equal(N, stage:count "users")
    assert.equal(N, stage:count "emails")
    assert.equal(0, stage:count "rbf_outbox")
    assert.equal(0, stage:count "rbf_dead_letters")
    assert.equal(1, #running:log "worker ready", "the worker was restarted")
    assert.equal(0, running:stop())
  end

  it("of NATS (kill -9, back after a second) loses nothing", function()
    local requests = begin()
    midway(requests)
    nats_server:stop()
    proc.sleep_ms(1000)
    nats_server:start()
    check_all(requests, "nats-server killed", resend_unconfirmed(requests))
  end)

  it("of PostgreSQL (fast stop, back after a second) loses nothing", function()
    local requests = begin()
    midway(requests)
    stage.db:close()
    postgres:stop "INT"
    proc.sleep_ms(1000)
    postgres:start()
    stage.db = pg.connect(stage.db_url)
    check_all(requests, "PostgreSQL stopped", 0)
  end)

  it("of PostgreSQL (immediate stop, as in a crash) loses nothing", function()
    local requests = begin()
    midway(requests)
    stage.db:close()
    postgres:stop "QUIT"
    postgres:start()
    stage.db = pg.connect(stage.db_url)
    check_all(requests, "PostgreSQL crashed", 0)
  end)

  it("of both at once loses nothing", function()
    local requests = begin()
    midway(requests)
    stage.db:close()
    postgres:stop "QUIT"
    nats_server:stop()
    nats_server:start()
    postgres:start()
    stage.db = pg.connect(stage.db_url)
    check_all(requests, "both", resend_unconfirmed(requests))
  end)

  it("of single connections is healed", function()
    local requests = begin()
    midway(requests)
    stage.db:exec [[SELECT pg_terminate_backend(pid) FROM pg_stat_activity
      WHERE datname = current_database() AND pid <> pg_backend_pid()]]
    check_all(requests, "backends terminated", 0)
  end)
end)
