-- The cache while servers are away: Redis, PostgreSQL; and what is said about a wrong REDIS_URL.
local host = require "spec.support.host"
local servers = require "spec.support.servers"
local proc = require "spec.support.proc"
local pg = require "spec.support.pg"

local function get(stage, path)
  local reply = stage:call("reads." .. path)
  assert.equal(200, reply.status, reply.raw)
  return reply.body
end

local function update(stage, id, new)
  stage.db:query("UPDATE items SET value = $2 WHERE id = $1", id, new)
end

local function change(stage, id, new)
  assert.equal(200, stage:call("writes.change." .. id, { value = new }).status)
end

describe("Redis", function()
  local redis, stage

  before_each(function()
    redis = servers.new_redis()
    stage = host.stage { app = "spec/apps/cache" }
  end)

  after_each(function()
    host.close(stage)
    redis:signal "CONT"
    redis:stop()
  end)

  local AWAY, BACK = "Redis is away: the cache has nothing until it is back", "Redis is back"

  local function start(o)
    o = o or {}
    o.env = { REDIS_URL = redis.url }
    local running = stage:start(o)
    if not o.redis_is_away then
      running:await_log(function(line) return line.msg == "Redis is the cache" or line.msg == BACK end)
    end
    return running
  end

  local function times(running, message)
    return #running:log(message)
  end

  -- A pause of 250 ms (a busy machine's) is being away, too: so each of these lines has the other after it.
  local function await_away(running)
    proc.eventually(function() return times(running, AWAY) > times(running, BACK) end, 20000, AWAY)
    assert.equal(times(running, BACK) + 1, times(running, AWAY))
  end

  local function await_back(running)
    proc.eventually(function() return times(running, AWAY) == times(running, BACK) end, 20000, function()
      return ("%s as often as %s; the host said:\n%s"):format(BACK, AWAY, running:tail())
    end)
  end

  --- A read gives what another gave before a change behind the cache's back: it is a cache again.
  local function await_hit()
    proc.eventually(function()
      local before = get(stage, "item.1")
      update(stage, "1", before .. "+")
      return get(stage, "item.1") == before
    end, 20000, "a hit")
  end

  it("that is gone is a miss and one line in the log; back, it is used again", function()
    local running = start()
    assert.equal("one", get(stage, "item.1"))
    redis:stop()
    update(stage, "1", "changed")
    for _ = 1, 20 do
      assert.equal("changed", get(stage, "item.1"))
    end
    change(stage, "1", "while away")
    assert.equal("while away", get(stage, "item.1"))
    await_away(running)
    redis:start()
    await_back(running)
    assert.equal("while away", get(stage, "item.1"))
    await_hit()
    stage:settle { "reads", "writes" } -- and the row of that change
    await_back(running)
    assert.equal(0, stage:count "rbf_dead_letters")
    assert.equal(0, running:stop())
  end)

  it("need not be there when a host starts", function()
    redis:stop()
    local running = start { redis_is_away = true }
    assert.equal("one", get(stage, "item.1"))
    redis:start()
    running:await_log(BACK)
    assert.equal("one", get(stage, "item.1"))
    await_hit()
  end)

  -- What it has kept meanwhile is outdated when it goes on.
  it("that hangs is told of an invalidation when it goes on", function()
    local running = start()
    assert.equal("one", get(stage, "item.1"))
    redis:signal "STOP"
    assert.equal("one", get(stage, "item.1")) -- from the database
    await_away(running)
    change(stage, "1", "new")
    assert.equal(1, stage:count "rbf_outbox")
    redis:signal "CONT"
    await_back(running)
    assert.equal("new", get(stage, "item.1"))
    stage:settle { "reads", "writes" }
    await_back(running)
  end)

  -- Nobody remembers but the row: the host that committed it is dead.
  it("is told by the sweeper when the host that should have is gone", function()
    local running = start { args = { "--orphan-after", "300ms" } }
    assert.equal("one", get(stage, "item.1"))
    redis:signal "STOP"
    assert.equal("one", get(stage, "item.1"))
    await_away(running)
    change(stage, "1", "new")
    local pids = running:workers()
    running.process:kill "KILL"
    for _, pid in ipairs(pids) do
      proc.kill(pid, "KILL")
    end
    running.process:wait(5000)
    assert.equal(1, stage:count "rbf_outbox")
    -- another one, with Redis still away: it leaves the row alone, however often it looks
    local second = start { args = { "--orphan-after", "300ms" }, redis_is_away = true }
    await_away(second)
    local sweeps = stage.db:value [[SELECT (EXTRACT(EPOCH FROM clock_timestamp()) * 1000)::bigint]]
    proc.eventually(function() -- the row is old enough by now, and a sweep has been since
      return stage.db:value([[SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
        AND query_start > to_timestamp(($1::bigint + 1000) / 1000.0) AND pid <> pg_backend_pid()]], sweeps) > 0
    end, 10000, "a sweep")
    proc.eventually(function() -- a sweep locks it while it looks
      return stage.db:value "SELECT count(*) FROM (SELECT 1 FROM rbf_outbox FOR UPDATE SKIP LOCKED) unlocked" == 1
    end, 10000, "the row, unlocked")
    local row = stage.db:query("SELECT attempts, next_try_at FROM rbf_outbox")[1]
    assert.same({ attempts = "0" }, row)
    redis:signal "CONT"
    await_back(second)
    proc.eventually(function()
      return get(stage, "item.1") == "new"
    end, 15000, "the invalidation")
    stage:settle { "reads", "writes" }
    assert.equal(0, stage:count "rbf_dead_letters")
  end)
end)

describe("a hit", function()
  local postgres, stage

  lazy_setup(function()
    postgres = servers.new_postgres()
  end)

  lazy_teardown(function()
    postgres:stop()
  end)

  after_each(function()
    host.close(stage)
  end)

  it("is answered while PostgreSQL is away", function()
    stage = host.stage { app = "spec/apps/cache", postgres = postgres }
    local running = stage:start { env = { REDIS_URL = false } }
    local function ask(path)
      return stage.client:request({ subject = stage.prefix .. "rpc.reads." .. path, data = "null" }, 10000)
    end
    assert.equal("one", ask("item.1").body)
    stage.db:close()
    postgres:stop()
    for _ = 1, 10 do
      local reply = ask "item.1"
      assert.equal(200, reply.status, reply.raw)
      assert.equal("one", reply.body)
    end
    postgres:start()
    stage.db = pg.connect(stage.db_url)
    proc.eventually(function()
      local reply = ask "item.2"
      return reply and reply.body == "two"
    end, 20000, "PostgreSQL to be used again")
    assert.equal(0, running:stop())
  end)
end)

describe("REDIS_URL", function()
  local function run(...)
    local code, _, err = host.rbf("run", "spec/apps/cache", ...)
    assert.not_equal(0, code)
    return err
  end

  it("that is wrong is refused, without telling its password", function()
    local err = run("--redis-url", "rediss://me:secret@host")
    assert.truthy(err:find("--redis-url is 'rediss://me:***@host', expected a Redis URL", 1, true), err)
    assert.is_nil(err:find("secret", 1, true))
  end)

  it("may stand in main.lua", function()
    local stage = host.stage { app = "spec/apps/cache" }
    local redis = servers.redis()
    stage:write("main.lua", ([[
      local rbf = require "rbf"
      local app = rbf.defineBackend { queues = { other = {} } }
      return rbf.createBackend(app, { redis = %q, cacheBytes = 1000000 })
    ]]):format(redis.url))
    local running = stage:start { env = { REDIS_URL = false } }
    running:await_log "Redis is the cache"
    host.close(stage)
  end)
end)
