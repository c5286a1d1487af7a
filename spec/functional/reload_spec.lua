-- Edits while the host runs.
local host = require "spec.support.host"
local proc = require "spec.support.proc"

local EDITS = host.scaled(500, 20)

local function says(line, text)
  for _, value in pairs(line) do
    if type(value) == "string" and value:find(text, 1, true) then
      return true
    end
  end
  return false
end

describe("a reload", function()
  local stage, running

  before_each(function()
    stage = host.stage { app = "spec/apps/reload" }
    running = stage:start { watch = true }
  end)

  after_each(function()
    host.close(stage)
  end)

  local function edit(n)
    stage:write("number.lua", ("return { value = %d }\n"):format(n))
  end

  -- Keeps eight calls under way until done() is true.
  local function load_until(load, done, timeout_ms)
    local deadline = proc.now_ms() + timeout_ms
    while not done() and proc.now_ms() < deadline do
      for slot = 1, 8 do
        local request = load.open[slot]
        if not request or request.reply then
          if request then
            load.on_reply(request.reply)
          end
          load.sent = load.sent + 1
          load.open[slot] = stage.client:start { subject = stage:subject("jobs", "tick") }
        end
      end
      stage.client:pump(4)
    end
    return done()
  end

  it("comes into force during load, many times, and loses no request", function()
    local versions, distinct, failed, mixed, newest = {}, 0, 0, 0, 0
    local load = { open = {}, sent = 0 }
    function load.on_reply(reply)
      if reply.status ~= 200 then
        failed = failed + 1
        return
      end
      local n = reply.body.n
      newest = math.max(newest, n)
      if not versions[reply.version] then
        versions[reply.version] = n
        distinct = distinct + 1
      elseif versions[reply.version] ~= n then
        mixed = mixed + 1
      end
    end
    local began, unseen = proc.now_ms(), 0
    for n = 1, EDITS do
      edit(n)
      if not load_until(load, function() return newest >= n end, 30000) then
        unseen = unseen + 1
      end
    end
    local lost = stage.client:wait_all(load.open, 10000)
    for _, request in ipairs(load.open) do
      if request.reply then
        load.on_reply(request.reply)
      end
    end
    host.figures("reload", "%d edits, %d distinct versions seen, %d requests, %d failed, %d lost, "
      .. "%.0f ms an edit", EDITS, distinct, load.sent, failed, lost, (proc.now_ms() - began) / EDITS)
    assert.equal(0, failed)
    assert.equal(0, lost)
    assert.equal(0, mixed, "replies whose version and behaviour differ")
    assert.truthy(distinct >= 0.9 * EDITS, ("%d distinct versions of %d edits"):format(distinct, EDITS))
    assert.equal(load.sent, stage:count "rbf_results")
    assert.equal(0, stage:count "rbf_dead_letters")
    assert.equal(0, running:stop())
  end)

  it("lets work under way finish on the code it began with", function()
    stage.db:exec "SELECT pg_advisory_lock(7)"
    local slow = stage.client:start { subject = stage:subject("jobs", "slow") }
    proc.eventually(function()
      return stage.db:value "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 7 AND NOT granted" == 1
    end, 5000, "the slow call to begin")
    edit(1)
    proc.eventually(function()
      return stage:call("jobs.tick").body.n == 1
    end, 5000, "the edit to come into force")
    assert.is_nil(slow.reply, "the slow call ended too early to show anything")
    stage.db:exec "SELECT pg_advisory_unlock(7)"
    assert.equal(0, stage.client:wait_all({ slow }))
    assert.same({ before = 0, after = 0 }, slow.reply.body)
    assert.not_equal(stage:call("jobs.tick").version, slow.reply.version)
  end)

  it("that does not load keeps the old code and names the line", function()
    local version = stage:call("jobs.tick").version
    stage:write("number.lua", "return {\n  value = 1,\n  value == 2 2,\n}\n")
    local line = running:await_log(function(l)
      return l.level == "error" and says(l, "number.lua:3")
    end, 10000)
    assert.truthy(line)
    local reply = stage:call "jobs.tick"
    assert.equal(200, reply.status)
    assert.equal(0, reply.body.n)
    assert.equal(version, reply.version)
    edit(2)
    proc.eventually(function()
      return stage:call("jobs.tick").body.n == 2
    end, 5000, "the mended file to come into force")
  end)

  it("that would break the app's definitions names the line too", function()
    local text = proc.read_file(stage.app .. "/tick.lua")
    stage:write("tick.lua", (text:gsub("handler = function%(%)", "handlr = function()", 1)))
    running:await_log(function(l)
      return l.level == "error" and says(l, "tick.lua:") and says(l, "handlr")
    end, 10000)
    assert.equal(0, stage:call("jobs.tick").body.n)
  end)

  it("takes up new operations and leaves removed ones", function()
    stage:write("more.lua", [[
      local app = require("app").app
      return { more = app:mutation("jobs", { path = "more", handler = function() return "more" end }) }
    ]])
    proc.eventually(function()
      return stage:call("jobs.more", nil, { timeout = 20000 }).status == 200
    end, 20000, "the new operation")
    os.remove(stage.app .. "/more.lua")
    proc.eventually(function()
      return stage:call("jobs.more", nil, { timeout = 20000 }).status == 404
    end, 20000, "the operation to be gone")
  end)

  it("never gives a restarted worker a broken file", function()
    edit(7)
    proc.eventually(function()
      return stage:call("jobs.tick").body.n == 7
    end, 5000, "the edit to come into force")
    local version = stage:call("jobs.tick").version
    stage:write("number.lua", "return {\n")
    running:await_log(function(l)
      return l.level == "error" and says(l, "number.lua:")
    end, 10000)
    assert.truthy(running:kill_worker())
    running:await_ready()
    local reply = stage:call "jobs.tick"
    assert.equal(200, reply.status)
    assert.equal(7, reply.body.n)
    assert.equal(version, reply.version)
  end)
end)
