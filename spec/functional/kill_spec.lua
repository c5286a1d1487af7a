-- kill -9 of workers in the midst of their work. RBF_KILL_ROUNDS rounds (10) of 2,000 creates, each
-- with at least ten kills that hit a transaction under way. The first round has one worker;
-- the others four, of which others take over at once what a dead one left.
local host = require "spec.support.host"
local proc = require "spec.support.proc"

local ROUNDS = tonumber(os.getenv "RBF_KILL_ROUNDS" or "10")
local USERS = host.scaled(2000, 400)
local HITS = 10
local CHUNK = 80 -- creates published before each kill: more than one worker's hands full

-- Transactions whose client has said nothing for a while: it is the stopped worker, the others
-- answer within a few milliseconds.
local LOOK_MS = 100
local OPEN = ([[SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
  AND state = 'idle in transaction' AND state_change < clock_timestamp() - interval '%d ms']]):format(
  LOOK_MS * 0.9)

-- Stops the worker dead (SIGSTOP), looks at what it has under way, and kills it.
local function kill_and_look(stage, pid)
  proc.kill(pid, "STOP")
  proc.sleep_ms(LOOK_MS)
  local open = stage.db:value(OPEN)
  local _, held = stage:stored("jobs", "events")
  proc.kill(pid, "KILL")
  return open > 0, held
end

-- A random worker that serves; waits until one does.
local function choose_worker(running, killed)
  return proc.eventually(function()
    local list = {}
    for _, line in ipairs(running:log "worker ready") do
      list[#list + 1] = not killed[line.pid] and line.pid or nil
    end
    return list[math.random(math.max(1, #list))]
  end, 30000, "a worker")
end

local function round(number)
  local stage = host.stage { app = "handlers" }
  finally(function()
    host.close(stage)
  end)
  stage:shorten_ack_wait()
  local workers = number == 1 and 1 or 4
  local running = stage:start { workers = workers }
  local killed = {}
  local requests, kills, hits, held = {}, 0, 0, 0
  local began = proc.now_ms()

  local function publish(n)
    for _ = 1, n do
      local i = #requests + 1
      requests[i] = stage.client:start {
        subject = stage:subject("jobs", "users.create"),
        data = { email = ("u%d@example.com"):format(i), name = "User " .. i },
      }
    end
    stage.client:flush()
  end

  while hits < HITS and kills < 4 * HITS do
    publish(CHUNK)
    local pid = choose_worker(running, killed)
    proc.sleep_ms(math.random(0, 30)) -- where in the work the kill falls is chance, and meant to be
    killed[pid] = true
    local hit, pending = kill_and_look(stage, pid)
    kills, hits, held = kills + 1, hits + (hit and 1 or 0), held + pending
    stage.client:pump(0)
  end
  publish(math.max(0, USERS - #requests))
  local users = #requests
  local missing = stage.client:wait_all(requests, 120000)
  stage:settle({ "jobs", "events" }, 120000)
  local delivered = 0
  for _, queue in ipairs { "jobs", "events" } do
    local stream = stage.client:stream_of(stage.prefix .. queue .. ".x")
    delivered = delivered + stage.client:stream_info(stream).delivered
  end

  local failed = 0
  for _, request in ipairs(requests) do
    failed = failed + ((request.reply and request.reply.status == 200) and 0 or 1)
  end
  local welcomed = stage.db:value [[SELECT count(*) FROM
    (SELECT user_id FROM emails GROUP BY user_id HAVING count(*) = 1) AS once]]
  host.figures("kill " .. number, "%d users, %d worker(s), %d kills, %d in flight, %d messages held at the kills, "
    .. "%d deliveries for %d messages, %.1f s", users, workers, kills, hits, held, delivered, 2 * users,
    (proc.now_ms() - began) / 1000)
  assert.equal(0, missing, "requests without a reply")
  assert.equal(0, failed, "requests that did not succeed")
  assert.equal(users, stage:count "users")
  assert.equal(users, stage:count "emails")
  assert.equal(users, welcomed, "users welcomed exactly once")
  assert.equal(0, stage:count "rbf_outbox")
  assert.equal(0, (stage:stored("jobs", "events")))
  assert.equal(0, stage:count "rbf_dead_letters")
  assert.truthy(hits >= HITS, ("only %d of %d kills hit work in flight"):format(hits, kills))
  assert.equal(0, running:stop())
end

describe("kill -9 of the worker", function()
  math.randomseed(os.time())
  for number = 1, ROUNDS do
    it(("loses nothing and repeats nothing (round %d)"):format(number), function()
      round(number)
    end)
  end
end)
