-- A machine's clock may be wrong, and may be set at any time: what is due is the database's business.
-- The host is rbf-fault, whose clock can be set (host/base/clock.c).
local ffi = require "ffi"
local host = require "spec.support.host"
local proc = require "spec.support.proc"

local DAY = 86400000

describe("a clock", function()
  local stage

  local function set_clock(ms)
    local f = assert(io.open(stage.dir .. "/clock", "r+b") or io.open(stage.dir .. "/clock", "wb"))
    f:write(ffi.string(ffi.new("int64_t[1]", ms), 8))
    f:close()
  end

  local function start(ms)
    stage = host.stage {}
    set_clock(ms)
    stage:start { binary = host.binary() .. "-fault", env = { RBF_CLOCK_FILE = stage.dir .. "/clock" } }
  end

  after_each(function()
    host.close(stage)
  end)

  -- One that waits for its time and one that has time left, sent at once.
  local function check()
    local target = math.floor(proc.epoch_ms()) + 700
    stage.client:store {
      subject = stage:subject("jobs", "users.create"), data = '{"email":"a@b.de","name":"Ada"}',
      headers = { ["Request-Id"] = "later", ["Target-At"] = tostring(target) },
    }
    local reply = stage:call("jobs.users.create", { email = "b@b.de", name = "Bob" },
      { headers = { ["Expires-At"] = tostring(target + 60000) } })
    assert.equal(200, reply.status, reply.raw)
    stage:settle({ "jobs" }, 20000)
    local at = stage.db:value "SELECT created_at FROM rbf_results WHERE request_id = 'later' AND status = 200"
    assert.is_true(tonumber(at) >= target, ("it ran %d ms too early"):format(target - tonumber(at)))
  end

  for _, ms in ipairs { DAY, -DAY } do
    it(("that is %d ms ahead changes nothing"):format(ms), function()
      start(ms)
      check()
    end)

    it(("that is set by %d ms changes nothing"):format(ms), function()
      start(0)
      set_clock(ms)
      check()
    end)
  end
end)
