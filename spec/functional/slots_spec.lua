-- What a host takes at a time, and how it goes on when its workers die.
local host = require "spec.support.host"
local nats = require "spec.support.nats"
local proc = require "spec.support.proc"

describe("a host", function()
  local stage

  after_each(function()
    host.close(stage)
  end)

  it("never has more in hand of a queue than it has slots for, and no queue waits for another", function()
    stage = host.stage {
      args = { "--connections", "4" }, -- and so 8 slots, with groups of one
      app = {
        ["app.lua"] = [[
          local rbf = require "rbf"
          local app = rbf.defineBackend { queues = { jobs = { group = 1 }, few = { concurrency = 2 }, fast = {} } }
          local running, most = { jobs = {}, few = {} }, { jobs = 0, few = 0 }
          local function wait(r)
            r.db:one "SELECT pg_advisory_xact_lock_shared(7)" -- the spec has it, at times
          end
          local function slow(r)
            local queue, n = r.msg.operation:match "^%a+", 0
            running[queue][r.msg.requestId] = true -- by id: one may be begun anew
            for _ in pairs(running[queue]) do n = n + 1 end
            most[queue] = math.max(most[queue], n)
            rbf.sleep { ms = 20 }
            wait(r)
            running[queue][r.msg.requestId] = nil
            return most[queue]
          end
          return {
            app:mutation("jobs", { path = "slow", handler = slow }),
            app:mutation("few", { path = "slow", handler = slow }),
            app:mutation("fast", { path = "now", handler = wait }),
          }]],
      },
    }
    local running = stage:start()
    local n, slow = host.scaled(20), { jobs = {}, few = {} }
    local function in_hand()
      return { jobs = select(2, stage:stored "jobs"), few = select(2, stage:stored "few"), fast = select(2, stage:stored "fast") }
    end
    for _ = 1, 4 do -- from the second on amid the work of the one before
      stage.db:exec "SELECT pg_advisory_lock(7)" -- nothing ends now
      for queue, list in pairs(slow) do
        for _ = 1, 10 + n do list[#list + 1] = stage.client:start { subject = stage:subject(queue, "slow") } end
      end
      proc.eventually(function() return select(2, stage:stored "jobs") >= 8 end, 20000, "full slots")
      local fast = stage.client:start { subject = stage:subject("fast", "now") } -- taken though the others are full
      -- one too many for a moment: nats-server may look at a pull before the ack that came ahead of it
      local looks = 0
      proc.eventually(function()
        local now = in_hand()
        looks = (now.jobs == 8 and now.few == 2 and now.fast == 1) and looks + 1 or 0
        return looks == 10
      end, 20000, function() return "full slots, and no more; in hand: " .. nats.json(in_hand()) end)
      assert.truthy(stage:stored "jobs" > 8)
      stage.db:exec "SELECT pg_advisory_unlock(7)"
      assert.equal(0, stage.client:wait_all { fast })
      assert.equal(200, fast.reply.status)
    end
    local most = { jobs = 0, few = 0 }
    for queue, list in pairs(slow) do
      assert.equal(0, stage.client:wait_all(list, 60000))
      for _, one in ipairs(list) do most[queue] = math.max(most[queue], one.reply.body) end
    end
    assert.truthy(most.few <= 2 and most.jobs <= 4, nats.json(most)) -- ran at once; jobs have a connection each
    stage:settle { "jobs", "few", "fast" }
    assert.equal(0, running:stop())
    assert.equal(0, running.stats.redelivered)
  end)

  it("gives up when its workers die at their start, again and again", function()
    stage = host.stage {}
    local running = stage:start {
      binary = host.binary() .. "-fault", env = { RBF_FAILPOINT = "reload.built:kill" }, workers = 2, no_wait = true,
    }
    assert.equal(1, (running:wait(30000)))
    local last = running:log()[#running:log()]
    assert.same({ "error", "workers die at their start, giving up" }, { last.level, last.msg })
    assert.truthy(#running:log() <= 6, running:tail())
  end)

  it("kills a worker whose handler nothing else can stop", function()
    stage = host.stage {
      args = { "--watchdog", "100ms" },
      app = {
        ["app.lua"] = [[
          local rbf = require "rbf"
          local app = rbf.defineBackend { queues = { jobs = {} } }
          local function endless()
            local n = 0
            while true do n = n + 1 end
          end
          return {
            app:mutation("jobs", { path = "stopped", retry = { maxAttempts = 1 }, handler = endless }),
            app:mutation("jobs", { path = "compiled", jit = true, handler = function()
              local n = 0
              while true do n = n + 1 end
            end }),
            app:mutation("jobs", { path = "fine", handler = function() return "fine" end }),
          }]],
      },
    }
    local running = stage:start()
    assert.equal(500, stage:call("jobs.stopped").status) -- by its watchdog, which compiled code does not hear
    assert.matches("app/app.lua:5: stopped: it ran for 100 ms", stage.db:value "SELECT error_message FROM rbf_dead_letters")
    stage.client:store { subject = stage:subject("jobs", "compiled") }
    local killed = running:await_log("a worker does not answer, killing it", 30000)
    assert.truthy(killed.silent_ms >= 10000)
    running:await_ready()
    assert.equal("fine", stage:call("jobs.fine").body) -- the other one comes after its ackWait
  end)

  it("starts a worker that dies again and again after longer and longer pauses, and serves on", function()
    stage = host.stage {}
    local running = stage:start()
    local paused
    for _ = 1, 5 do
      local at = proc.now_ms()
      proc.kill(running:workers()[1], "KILL")
      running:await_ready()
      paused = proc.now_ms() - at
    end
    assert.truthy(paused >= 1600, paused .. " ms before the fifth restart") -- 100 ms, doubled four times
    assert.equal(200, stage:call("jobs.users.create", { email = "a@b.de", name = "Ada" }).status)
    assert.equal(5, #running:log "a worker died, starting another")
    assert.equal(0, running:stop())
  end)

  it("whose files change while its workers die loads them all the same", function()
    stage = host.stage {}
    local text = stage:read "users.lua"
    local running = stage:start {
      binary = host.binary() .. "-fault", env = { RBF_FAILPOINT = "reload.before_live:kill#2" }, watch = true, workers = 2,
    }
    stage:write("users.lua", text .. "\n-- edited\n") -- each of the first two workers dies as it goes live
    running:await_log("a worker died, starting another", 20000, 2)
    running:await_log "reloaded"
    local version = stage:call("jobs.users.create", { email = "a@b.de", name = "Ada" }).version
    local ready = running:log "worker ready"
    assert.equal(ready[#ready].version, version)
    assert.not_equal(ready[1].version, version)
    assert.equal(0, running:stop())
  end)
end)
