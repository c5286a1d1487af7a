-- rbf routes: what an app serves, without servers.
local cjson = require "cjson"
local host = require "spec.support.host"
local proc = require "spec.support.proc"

local APP = [[
local rbf = require "rbf"
local base = rbf.defineBackend {
  queues = { jobs = { subject = "work", middleware = function() end }, reads = {} },
}
local app = base:middleware {
  after = function() end,
}
local tidy = base:mutation("jobs", {
  path = "tidy",
  timeout = { seconds = 3 },
  handler = function() end,
})
base:cron("0 3 * * *", tidy, { tz = "Europe/Berlin", name = "nightly" })
return { tidy = tidy, get = app:query("reads", { path = "get.$id", handler = function() end }) }
]]

describe("rbf routes", function()
  local dir

  before_each(function()
    dir = proc.temp_dir "routes"
    proc.write_file(dir .. "/app.lua", APP)
  end)

  it("--json has a line for each operation and each cron", function()
    local code, out, err = host.rbf("routes", dir, "--json")
    assert.equal(0, code, err)
    assert.equal(3, select(2, out:gsub("\n", "")))
    local rows = cjson.decode(out)
    assert.same({ kind = "mutation", path = "work.tidy", queue = "jobs", name = "tidy", timeout = 3000,
      middleware = { "app.lua:3" }, file = dir .. "/app.lua:8" }, rows[1])
    assert.same({ kind = "query", path = "reads.get.$id", queue = "reads", name = "get", timeout = 25000,
      middleware = { "app.lua:6" }, file = dir .. "/app.lua:14" }, rows[2])
    local cron = rows[3]
    assert.is_true(cron.next > proc.epoch_ms() and cron.next <= proc.epoch_ms() + 25 * 3600 * 1000)
    assert.equal(0, cron.next % 3600000)
    cron.next = nil
    assert.same({ kind = "cron", path = "work.tidy", name = "nightly", spec = "0 3 * * *", tz = "Europe/Berlin",
      missed = "once", file = dir .. "/app.lua:13" }, cron)
  end)

  it("shows people a table of operations and one of crons", function()
    local code, out, err = host.rbf("routes", dir .. "/")
    assert.equal(0, code, err)
    assert.truthy(out:find "^KIND +PATH +QUEUE +MIDDLEWARE +FILE\n", out)
    assert.truthy(out:find("\nquery +reads%.get%.%$id +reads +app%.lua:6 +" .. dir:gsub("%p", "%%%0") .. "/app%.lua:14\n"), out)
    assert.truthy(out:find "\n\nKIND +PATH +WHEN +ZONE +NEXT +FILE\ncron +work%.tidy +0 3 %* %* %* +Europe/Berlin +in ", out)
    code, out = host.rbf "routes"
    assert.equal(0, code)
    assert.truthy(out:find "\nmutation +jobs%.users%.create +jobs +app%.lua:11 +handlers/users%.lua:6\n", out)
    assert.is_nil(out:find "WHEN")
  end)

  it("names file and line of what does not load", function()
    proc.write_file(dir .. "/op.lua", "local x =")
    local code, out, err = host.rbf("routes", dir)
    assert.equal(1, code)
    assert.equal("", out)
    assert.truthy(err:find(dir .. "/op.lua:1: ", 1, true), err)
  end)

  it("says so when there is nothing", function()
    proc.write_file(dir .. "/app.lua", [[return require("rbf").defineBackend { queues = { jobs = {} } }]])
    local code, out = host.rbf("routes", dir)
    assert.same({ 0, "no operations: app:mutation and app:query define them\n" }, { code, out })
  end)
end)
