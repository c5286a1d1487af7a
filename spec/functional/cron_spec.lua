-- app:cron on real hosts: each slot once, whatever happens in between.
local host = require "spec.support.host"
local proc = require "spec.support.proc"

describe("app:cron", function()
  local stage

  before_each(function()
    stage = host.stage { app = "spec/apps/cron", args = { "--cron-lease", "1500ms" } }
  end)

  after_each(function()
    host.close(stage)
  end)

  -- The app's crons: lines of arguments of app:cron, in the file whose fire(label) gives op and options.
  local function write_crons(...)
    stage:write("crons.lua", ([[
      local app = require "app"
      local function cron(spec, name, label, more)
        local options = { name = name, params = { who = "ann" }, input = { label = label } }
        for k, v in pairs(more or {}) do options[k] = v end
        app.app:cron(spec, app.fire, options)
      end
      %s
    ]]):format(table.concat({ ... }, "\n")))
  end

  local every_second = 'cron("* * * * * *", "%s", "%s")'

  -- What fired of a cron (with this label), in the slots' order: {slot = s epoch, label, who}.
  local function fired(name, label)
    return stage.db:query([[SELECT extract(epoch FROM substr(id, length($1) + 7)::timestamptz)::bigint AS slot, label, who
      FROM fired WHERE id LIKE 'cron:' || $1 || ':%' AND label = COALESCE($2, label) ORDER BY 1]], name, label)
  end

  local function await_fired(name, n, label)
    return proc.eventually(function()
      return #fired(name, label) >= n and fired(name)
    end, 30000, function()
      return ("%d firings of %s; the host said:\n%s"):format(n, name, stage.hosts[#stage.hosts]:tail())
    end)
  end

  -- Every second once, from the first to the last.
  local function assert_each_once(rows)
    for i = 2, #rows do
      assert.equal(1, rows[i].slot - rows[i - 1].slot, ("slots %s and %s"):format(rows[i - 1].slot, rows[i].slot))
    end
  end

  local function kill_all(running)
    local pids = running:workers()
    running.process:kill "KILL"
    for _, pid in ipairs(pids) do
      proc.kill(pid, "KILL")
    end
    running.process:wait(5000)
  end

  it("fires each slot with its input and params, under the slot's id", function()
    local running = stage:start()
    local rows = await_fired("tick", 4)
    assert_each_once(rows)
    host.figures("cron", "median from a slot to its handler's commit: %.0f ms", stage.db:value [[SELECT percentile_cont(0.5)
      WITHIN GROUP (ORDER BY created_at - 1000 * extract(epoch FROM substr(request_id, 11)::timestamptz)) FROM rbf_results]])
    assert.same({ "first", "ann" }, { rows[1].label, rows[1].who })
    assert.truthy(stage.db:value("SELECT id FROM fired LIMIT 1"):find "^cron:tick:%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%dZ$")
    assert.equal(0, running:stop())
    assert.equal(running.stats.crons, tonumber(stage:count "fired") + stage:count "rbf_outbox" + stage:stored "jobs")
  end)

  it("fires each slot once among two hosts of two workers", function()
    local a = stage:start { workers = 2 }
    local b = stage:start { workers = 2 }
    await_fired("tick", 6)
    assert.equal(0, a:stop())
    assert.equal(0, b:stop())
    stage:start { args = { "--no-cron" } }
    stage:settle { "jobs" }
    local rows = fired "tick"
    assert_each_once(rows)
    assert.equal(#rows, a.stats.crons + b.stats.crons)
  end)

  it("loses and doubles nothing when hosts are killed between claim and publication", function()
    for _ = 1, 2 do
      local before = stage:count "rbf_outbox"
      local running = stage:start { args = { "--no-sweeper" } } -- so that claims stay where they are
      proc.eventually(function()
        return stage:count "rbf_outbox" >= before + 2
      end, 20000, "claims")
      kill_all(running)
    end
    assert.equal(0, stage:count "fired")
    local claimed, last = stage:count "rbf_outbox", stage.db:value "SELECT last_slot FROM rbf_crons"
    stage:start { args = { "--no-cron" } }
    stage:settle { "jobs" }
    local rows = fired "tick"
    assert.equal(claimed, #rows)
    assert_each_once(rows) -- a pause of some seconds is made up for
    assert.equal(last, stage.db:value "SELECT last_slot FROM rbf_crons", "--no-cron claimed a slot")
  end)

  it("fires each slot once though workers die right before and after claims", function()
    local log = stage.dir .. "/failpoints"
    for seed = 1, 2 do
      stage:start {
        binary = host.binary() .. "-fault", no_wait = true,
        env = { RBF_FAILPOINT = "cron.before_claim:kill@0.2,cron.after_claim:kill@0.2", RBF_FAILPOINT_LOG = log,
          RBF_FAILPOINT_SEED = tostring(seed) },
      }
    end
    proc.eventually(function()
      local text = proc.read_file(log) or ""
      return #fired "tick" >= 6 and text:find "before_claim kill" and text:find "after_claim kill"
    end, 90000, "faults of both kinds, and firings")
    for _, running in ipairs(stage.hosts) do running:stop() end
    stage:start { args = { "--no-cron", "--orphan-after", "100ms" } } -- publishes what was claimed
    stage:settle { "jobs" }
    assert_each_once(fired "tick")
  end)

  it("does not run a slot twice that is claimed again, as after a jump of the clock", function()
    local running = stage:start()
    await_fired("tick", 4)
    running:stop()
    stage.db:exec "UPDATE rbf_crons SET next_at = next_at - 3000"
    local at = stage.db:value "SELECT next_at FROM rbf_crons"
    stage:start()
    proc.eventually(function()
      return stage.db:value "SELECT last_slot FROM rbf_crons" > at + 5000
    end, 20000, "the slots to be claimed again")
    local rows = fired "tick"
    assert_each_once(rows)
  end)

  it("goes on from now when the database's clock had been ahead", function()
    local running = stage:start()
    await_fired("tick", 1)
    running:stop()
    stage.db:exec "UPDATE rbf_crons SET next_at = next_at + 86400000, last_slot = last_slot + 86400000"
    local n = #fired "tick"
    local again = stage:start()
    again:await_log "cron: the database's clock went back; counting from now"
    await_fired("tick", n + 2)
  end)

  it("fires the latest of missed slots, or none, as it says", function()
    -- half an hour from now and from the last: nothing falls due meanwhile
    local minute = (stage.db:value "SELECT extract(minute FROM now() AT TIME ZONE 'UTC')::int" + 30) % 60
    write_crons(('cron("%d * * * *", "once", "x")'):format(minute),
      ('cron("%d * * * *", "skip", "x", { missed = "skip" })'):format(minute))
    local function row(name)
      return stage.db:value("SELECT next_at FROM rbf_crons WHERE name = $1", name)
    end
    local running = stage:start()
    proc.eventually(function()
      return stage:count "rbf_crons" == 2
    end, 10000, "the crons")
    local next_at = row "once"
    assert.equal(next_at, row "skip")
    running:stop()
    stage.db:exec "UPDATE rbf_crons SET next_at = next_at - 18000000"
    stage:start()
    proc.eventually(function()
      return row "once" == next_at and row "skip" == next_at
    end, 10000, "the crons to go on")
    stage:settle { "jobs" }
    local rows = fired "once"
    assert.equal(1, #rows)
    assert.equal(next_at / 1000 - 3600, tonumber(rows[1].slot))
    assert.same({}, fired "skip")
  end)

  it("are added, changed and removed by a reload", function()
    write_crons(every_second:format("stays", "x"), every_second:format("goes", "x"), every_second:format("alters", "x"))
    stage:start { watch = true, workers = 2 }
    await_fired("goes", 1)
    await_fired("alters", 1)
    write_crons(every_second:format("stays", "x"), every_second:format("comes", "x"), 'cron("@yearly", "alters", "x")')
    await_fired("comes", 1)
    assert.equal(0, stage.db:value "SELECT count(*) FROM rbf_crons WHERE name = 'goes'")
    assert.equal("01-01 00:00:00", stage.db:value [[SELECT to_char(to_timestamp(next_at / 1000) AT TIME ZONE 'UTC',
      'MM-DD HH24:MI:SS') FROM rbf_crons WHERE name = 'alters']])
    local goes, alters, stays = #fired "goes", #fired "alters", #fired "stays"
    local rows = await_fired("stays", stays + 3)
    assert_each_once(rows) -- its slots are counted on
    assert.truthy(#fired "goes" <= goes + 1 and #fired "alters" <= alters + 1) -- what was under way
    assert.equal("3", stage.db:query("SELECT count(*) FROM rbf_crons")[1].count)
  end)

  it("belong to the version that was deployed last, until its hosts are gone", function()
    local old = stage:start()
    await_fired("tick", 2, "first")
    write_crons(every_second:format("tick", "second"))
    local new = stage:start()
    local version = new:log("worker ready")[1].version
    await_fired("tick", 2, "second")
    assert.truthy(old:kill_worker()) -- it comes again, late, and is still the older one
    stage.db:query("UPDATE rbf_cron_versions SET seen_at = seen_at - 100000 WHERE code_version <> $1", version)
    old:await_ready()
    local n = #fired "tick"
    local rows = await_fired("tick", n + 4)
    assert_each_once(rows)
    local seen_new = false
    for _, row in ipairs(rows) do
      assert.truthy(row.label == "second" or not seen_new, "the old version fired again")
      seen_new = seen_new or row.label == "second"
    end
    assert.equal(version, stage.db:value "SELECT code_version FROM rbf_crons")
    new:stop()
    rows = await_fired("tick", #fired("tick", "first") + 3, "first")
    assert.equal("first", rows[#rows].label)
    assert_each_once(rows)
  end)

  it("of a version without any rest, whatever older hosts have", function()
    stage:start()
    await_fired("tick", 1)
    write_crons ""
    stage:start()
    proc.eventually(function()
      return stage:count "rbf_crons" == 0
    end, 10000, "the cron to be removed")
    stage:settle { "jobs" }
    local n = #fired "tick"
    stage.hosts[1]:await_log "a newer version's crons are in force"
    assert.equal(n, #fired "tick")
    assert.equal(0, stage:count "rbf_crons")
  end)

  it("name the line when they cannot be", function()
    stage:write("crons.lua", 'local app = require "app"\n\napp.app:cron("0 25 * * *", app.fire)\n')
    local running = stage:start { no_wait = true }
    assert.not_equal(0, (running:wait(20000)))
    assert.truthy(running:tail(50):find("crons.lua:3: app:cron '0 25 * * *': hour is '25', which must be from 0 to 23", 1, true),
      running:tail())
  end)
end)
