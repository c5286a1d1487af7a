-- Hosts on machines whose clocks are wrong, or are set while they run: what is due is decided by the
-- database's clock, and counted in monotonic time in between.
local clock = require "spec.support.clock"
local host = require "spec.support.host"
local proc = require "spec.support.proc"

local HOUR = 3600000

describe("a host whose machine's clock is wrong", function()
  local stage, its_clock

  before_each(function()
    stage = host.stage { app = "spec/apps/timer" }
    its_clock = clock.new(stage.dir .. "/clock", 0)
  end)

  after_each(function()
    host.close(stage)
  end)

  local function start(...)
    return stage:start { args = { ... }, env = its_clock:env(host.binary()) }
  end

  local function run_in(id, ms)
    assert.equal(200, stage:call("jobs.timer.set", { id = id, ms = ms }).status)
    local late = proc.eventually(function()
      return stage.db:value([[SELECT fired.at - timers.set_at - timers.ms FROM fired JOIN timers USING (id)
        WHERE id = $1]], id)
    end, 10000, "task " .. id)
    assert.truthy(late >= -2, ("%s ran %d ms too early"):format(id, -late))
  end

  for name, ms in pairs { ["an hour ahead"] = HOUR, ["an hour behind"] = -HOUR } do
    it("(" .. name .. ") runs tasks at their times, and keeps callers' deadlines", function()
      its_clock:set(ms)
      local running = start()
      local at = stage.db:value("SELECT extract(epoch FROM $1::timestamptz) * 1000", running:log "worker ready"[1].time)
      assert.truthy(math.abs(at - proc.epoch_ms() - ms) < HOUR / 2, "its clock is right")
      run_in("first", 300)
      local now = stage.db:value "SELECT clock_ms()"
      local function call(headers, id)
        return stage:call("jobs.timer.set", { id = id, ms = 0 }, { headers = headers, timeout = 20000 }).status
      end
      assert.equal(200, call({ ["Expires-At"] = ("%d"):format(now + HOUR / 2) }, "in time"))
      assert.equal(410, call({ ["Expires-At"] = ("%d"):format(now - HOUR / 2) }, "too late"))
      assert.equal(200, call({ ["Target-At"] = ("%d"):format(now + 1000) }, "at"))
      assert.truthy(stage.db:value "SELECT set_at FROM timers WHERE id = 'at'" >= now + 1000)
    end)
  end

  it("goes on as before when somebody sets the clock", function()
    local running = start()
    run_in("before", 300)
    for i, ms in ipairs { HOUR, -HOUR, 0 } do
      its_clock:set(ms)
      run_in("jump" .. i, 300) -- at once: nobody has asked the database for its time since
    end
    stage:settle { "jobs", "events" }
    assert.equal(4, stage:count "fired")
    assert.equal(0, running:stop())
  end)

  it("is not ahead of the database's when the answer was long in coming", function()
    -- the sweeper's first question takes two seconds
    stage.db:exec([[CREATE SEQUENCE asked; CREATE SEQUENCE answered;
      CREATE FUNCTION public.clock_timestamp() RETURNS timestamptz LANGUAGE plpgsql AS $$
      BEGIN
        IF current_query() LIKE 'SELECT (EXTRACT(EPOCH FROM clock_timestamp()) * 1000)::bigint, %' AND nextval('asked') = 1 THEN
          PERFORM pg_sleep(2);
          PERFORM nextval('answered');
        END IF;
        RETURN pg_catalog.clock_timestamp();
      END $$;
      ALTER DATABASE ]] .. stage.db:value "SELECT current_database()" .. [[ SET search_path = public, pg_catalog]])
    start("--no-sweeper", "--no-cron")
    proc.eventually(function() return stage.db:value "SELECT is_called::int FROM answered" == 1 end, 20000, "the answer")
    proc.sleep_ms(300) -- its way to the host
    local at = stage.db:value "SELECT clock_ms()" + 700
    stage.client:start {
      subject = stage:subject("jobs", "timer.set"), data = { id = "at", ms = 0 }, headers = { ["Target-At"] = ("%d"):format(at) },
    }
    proc.eventually(function() return stage:count "timers" + stage:count "rbf_outbox" > 0 end, 20000, "an outcome")
    assert.equal(0, stage.db:value("SELECT count(*) FROM timers WHERE set_at < $1", at))
  end)

  it("asks the database without a sweeper, too", function()
    its_clock:set(HOUR)
    start("--no-sweeper")
    local now = stage.db:value "SELECT clock_ms()"
    proc.eventually(function() -- it has asked soon after its start
      return stage:call("jobs.timer.set", { id = "x", ms = 0 },
        { headers = { ["Expires-At"] = ("%d"):format(now + HOUR / 2) } }).status == 200
    end, 10000, "an answer in time")
  end)
end)
