-- What a newcomer sees: the tour, and settings in main.lua.
local host = require "spec.support.host"

describe("rbf demo", function()
  it("shows the whole tour and ends with 0", function()
    local code, out, err = host.rbf("demo", { timeout = 120000 })
    assert.equal(0, code, err)
    for step = 1, 7 do
      assert.matches(("\n%d%%. "):format(step), out)
    end
    assert.matches("Ahoy, Grace!", out)
    assert.matches("duplicates=1", out)
  end)
end)

describe("main.lua", function()
  local app = [[
    local rbf = require "rbf"
    local app = rbf.defineBackend { queues = { jobs = {} }, context = { a = 1, b = 1 } }
    local both = app:query("jobs", { path = "both", handler = function(r)
      return { r.ctx.a, r.ctx.b }
    end })
    return { app = app, both = both }]]

  local function stage_with(main)
    local stage = host.stage { app = { ["app.lua"] = app, ["main.lua"] = main } }
    finally(function() stage:close() end)
    return stage
  end

  it("sets what flags and environment do not, and adds to the context", function()
    local stage = stage_with [[
      return require("rbf").createBackend(require("app").app,
        { context = { b = 2 }, subjectPrefix = "not.this.", maxAttempts = 1 })]]
    stage:start()
    assert.same({ 1, 2 }, stage:call("jobs.both").body)
  end)

  it("is refused with its place when a setting is unknown", function()
    local stage = stage_with [[
      return require("rbf").createBackend(require("app").app, { maxAttemps = 1 })]]
    local running = stage:start { no_wait = true }
    local code = running:wait()
    assert.equal(1, code)
    assert.matches("maxAttemps.*did you mean 'maxAttempts'", running:tail(5))
  end)
end)
