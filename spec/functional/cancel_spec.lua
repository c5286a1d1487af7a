-- scheduler:cancel: true means that it will never run.
local host = require "spec.support.host"
local proc = require "spec.support.proc"
local cjson = require "cjson"

describe("scheduler:cancel", function()
  local stage

  before_each(function()
    stage = host.stage { app = "spec/apps/cancel" }
    stage:start()
  end)

  after_each(function()
    host.close(stage)
  end)

  local function call(path, input)
    local reply = stage:call("jobs." .. path, input)
    assert.equal(200, reply.status, reply.raw)
    return cjson.decode("[" .. reply.raw .. "]")[1]
  end

  local function ran()
    local words = {}
    for _, row in ipairs(stage.db:query "SELECT what FROM ran ORDER BY what") do
      words[#words + 1] = row.what
    end
    return table.concat(words, " ")
  end

  it("drops what the same run enqueued, unless a savepoint takes that back", function()
    assert.same({ true, false, true, true, true }, call "own")
    stage:settle { "jobs" }
    assert.equal("again back", ran())
  end)

  it("finds a waiting job by either id, once", function()
    local by_job_id = call("later", { what = "a", ms = 60000 })
    call("later", { what = "b", ms = 60000, id = "named" })
    call("later", { what = "c", ms = 60000, id = "0b5d0c6e-3f77-4d3e-9b1b-111111111111" })
    assert.is_true(call("cancel", { id = by_job_id }))
    assert.is_false(call("cancel", { id = by_job_id }))
    assert.is_true(call("cancel", { id = "named" }))
    assert.is_true(call("cancel", { id = "0b5d0c6e-3f77-4d3e-9b1b-111111111111" }))
    assert.is_false(call("cancel", { id = "never heard of" }))
    assert.equal(0, stage:count "rbf_outbox")
    assert.equal("", ran())
  end)

  it("drops what the same run enqueued, and what was pending under that id before", function()
    call("later", { what = "first", ms = 60000, id = "again" })
    assert.is_true(call("both", '"again"'))
    assert.equal(0, stage:count "rbf_outbox")
    assert.is_true(call("both", '"new"'))
    assert.equal(0, stage:count "rbf_outbox")
    call("later", { what = "due", ms = 60000, id = "due" })
    stage.db:exec "UPDATE rbf_outbox SET target_at = 1, next_try_at = 9000000000000"
    assert.is_false(call("both", '"due"')) -- that one runs
  end)

  it("is too late for what is due or done", function()
    local id = call("later", { what = "done", ms = 0 })
    stage:settle { "jobs" }
    assert.is_false(call("cancel", { id = id }))
    assert.equal("done", ran())
  end)

  it("holds against the sweeper, whichever way its transaction ends", function()
    call("later", { what = "kept", ms = 400, id = "kept" })
    call("later", { what = "never", ms = 400, id = "never" })
    local failing = stage:start_many("jobs.cancel", 1, function()
      return cjson.encode { id = "kept", hold = 1500, fail = true }
    end)
    local winning = stage:start_many("jobs.cancel", 1, function()
      return cjson.encode { id = "never", hold = 1500 }
    end)
    assert.equal(0, stage.client:wait_all(failing))
    assert.equal(0, stage.client:wait_all(winning))
    assert.equal(409, failing[1].reply.status)
    -- either it was in time, or it ran again after a conflict, found it due and said so
    stage:settle { "jobs" }
    proc.eventually(function()
      return ran():find "kept"
    end, 20000, "the job whose cancelling failed")
    assert.equal(winning[1].reply.raw == "true" and "kept" or "kept never", ran())
  end)
end)
