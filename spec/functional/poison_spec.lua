-- A message that kills its worker, each time it runs, among others that were only beside it.
local host = require "spec.support.host"
local proc = require "spec.support.proc"

describe("a poison message among innocents", function()
  local stage, running

  before_each(function()
    stage = host.stage { app = "spec/apps/poison", args = { "--connections", "8" } }
    running = stage:start()
  end)

  after_each(function()
    stage:close()
  end)

  local function runs()
    local row = stage.db:query "SELECT last_value, is_called FROM runs"[1]
    return row.is_called == "t" and tonumber(row.last_value) or 0
  end

  local function letters()
    return stage.db:query "SELECT * FROM rbf_dead_letters"
  end

  it("becomes the only dead letter", function()
    local innocents, killed = host.scaled(200, 40), 0
    for i = 1, innocents do
      if i == math.floor(innocents / 2) then
        stage.client:store { subject = stage:subject("jobs", "poison"),
          headers = { ["Request-Id"] = "poison" } }
      end
      stage.client:store { subject = stage:subject("jobs", "innocent"), data = tostring(i) }
    end
    proc.eventually(function()
      if runs() > killed and running:kill_worker() then killed = runs() end
      return #letters() > 0
    end, 120000, function()
      return "the dead letter; the host said:\n" .. running:tail()
    end)
    stage:settle({ "jobs" }, 60000)
    local letter = letters()
    assert.equal(1, #letter)
    assert.equal("poison", letter[1].request_id)
    assert.equal("POISON", letter[1].error_code)
    assert.equal(innocents, stage:count "mark")
    assert.equal(innocents, stage.db:value "SELECT count(DISTINCT what) FROM mark")
    -- Twice beside others, three times alone; one less when a slow worker had it for longer than ackWait.
    assert.truthy(killed == 5 or killed == 4, killed)
    assert.equal(0, stage:count "rbf_suspects")
  end)
end)
