-- rbf dev --gate: specs stand before a new generation.
local cjson = require "cjson"
local host = require "spec.support.host"
local proc = require "spec.support.proc"

local files = {
  ["app.lua"] = [[
    local app = require("rbf").defineBackend { queues = { jobs = {} } }
    return { app = app }]],
  ["number.lua"] = "return { value = 1 }",
  ["tick.lua"] = [[
    local app, number = require("app").app, require "number"
    return { tick = app:mutation("jobs", { path = "tick", handler = function(r)
      r.db:exec "INSERT INTO ticks DEFAULT VALUES"
      require("rbf").log:error("noise that handlers make")
      return number.value
    end }) }]],
  ["other.lua"] = [[
    local app = require("app").app
    return { other = app:query("jobs", { path = "other", handler = function() return "a" end }) }]],
  ["migrations/001_ticks.sql"] = "CREATE TABLE ticks (id bigserial)",
  ["spec/tick_spec.lua"] = [[
local t = require("rbf.testing").load()
describe("ticks", function()
  it("are small", function()
    print "noise that specs make"
    assert.is_true(assert(t:mutate "jobs.tick") < 5)
    assert.equal(1, t.db:one("SELECT count(*) AS n FROM ticks").n)
  end)
end)
]],
  ["spec/other_spec.lua"] = [[
local t = require("rbf.testing").load()
it("answers", function() assert.is_string(t:query "jobs.other") end)
it("answers again", function() assert.is_string(t:query "jobs.other") end)
]],
}

local RED = "reload refused, the old version serves on: "

describe("rbf dev --gate", function()
  local dir, state, log, process, seen

  local function write(name, text)
    proc.write_file(dir .. "/app/" .. name, text)
  end

  local function start(...)
    dir = proc.temp_dir "gate"
    state, log, seen = dir .. "/state", dir .. "/log", 0
    os.execute("mkdir -p " .. dir .. "/app/spec " .. dir .. "/app/migrations")
    for name, text in pairs(files) do write(name, text) end
    local words = { host.binary(), "dev", "app", "--gate", "--state-dir", state, "--workers", "1", ... }
    words.out, words.err, words.cwd = log, log, dir
    words.env = { DATABASE_URL = false, NATS_URL = false }
    process = proc.spawn(words)
    proc.eventually(function()
      return proc.read_file(log):find("Ctrl-C stops", 1, true)
    end, 60000, function() return "rbf dev; it said: " .. (proc.read_file(log) or "") end)
  end

  after_each(function()
    assert.equal(0, process:finish("TERM", 20000))
    assert.is_nil(proc.read_file(log):find("Sanitizer", 1, true), log)
  end)

  --- The next log line that fits: its table, what was printed from it to the end, and the lines between.
  local function await_line(fits)
    local found, rest
    proc.eventually(function()
      local text = proc.read_file(log)
      for at, line in text:sub(seen + 1):gmatch "()([^\n]*)\n" do
        local ok, entry = pcall(cjson.decode, line)
        if fits(ok and entry.msg or line) then
          found, rest = ok and entry or line, text:sub(seen + at)
          seen = seen + at + #line
          return true
        end
      end
    end, 60000, function() return "a log line; it said: " .. proc.read_file(log) end)
    return found, rest
  end

  local function red()
    local line = await_line(function(text) return text:find(RED, 1, true) end)
    return line.msg:sub(#RED + 1), line.details or ""
  end

  local function green()
    local line = await_line(function(text) return text:find " passed$" end)
    await_line(function(text) return text == "reloaded" end)
    return line.msg
  end

  local function call(path)
    local code, out, err = host.rbf("job:trigger", path or "jobs.tick", "--state-dir", state)
    assert.equal(0, code, out .. err)
    return (out:gsub("%s+$", ""))
  end

  it("keeps the old code until the specs pass", function()
    start()
    assert.equal("1", call())
    write("number.lua", "return { value = 7 }")
    local summary, details = red()
    assert.equal("1 of 3 specs failed", summary) -- nothing is known yet: all run
    assert.equal("app/spec/tick_spec.lua:5: Expected objects to be the same.", details:match "^[^\n]*")
    assert.truthy(details:find("in: ticks are small", 1, true), details)
    assert.is_nil(details:find("noise", 1, true), details)
    assert.equal("1", call())
    write("number.lua", "return { value = 2 }")
    assert.equal("1 spec passed", green())
    assert.equal("2", call())
  end)

  it("runs what depends on the changes since the live version, specs among them", function()
    start()
    write("other.lua", files["other.lua"] .. "\n")
    assert.equal("3 specs passed", green())
    write("other.lua", files["other.lua"])
    assert.equal("2 specs passed", green())
    write("number.lua", "return { value = 7 }")
    assert.equal("1 of 1 spec failed", (red()))
    -- what was red stays among the changes
    write("other.lua", files["other.lua"] .. "\n")
    assert.equal("1 of 3 specs failed", (red()))
    assert.equal("1", call())
    -- the spec was what had to change; the code waits for it, and a new spec has its say
    write("spec/new_spec.lua", 'it("is new", function() assert.is_true(require("number").value > 9) end)')
    assert.equal("2 of 4 specs failed", (red()))
    write("spec/new_spec.lua", 'it("is new", function() assert.equal(7, require("number").value) end)')
    assert.equal("1 of 4 specs failed", (red()))
    write("spec/tick_spec.lua", (files["spec/tick_spec.lua"]:gsub("< 5", "< 9")))
    assert.equal("4 specs passed", green())
    assert.equal("7", call())
  end)

  it("says what does not load, and lets what is put back be", function()
    start()
    write("number.lua", "return {\n  value = 1,\n  value == 2 2,\n}\n")
    assert.truthy(red():find("number.lua:3: ", 1, true))
    write("number.lua", files["number.lua"])
    await_line(function(text) return text == "the files are those of the running version" end)
    assert.equal("1", call())
  end)

  it("ends specs that hang, and holds no request up meanwhile", function()
    start("--gate-timeout", "10s")
    -- the specs' server is made where nothing is short of time
    assert.equal(0, (host.rbf("test", "--app", "app", "--state-dir", state, { cwd = dir, timeout = 60000 })))
    write("spec/tick_spec.lua", [[
      local t = require("rbf.testing").load()
      describe("ticks", function()
        it("hang", function()
          assert(t:mutate "jobs.tick")
          assert(io.open("hangs", "w")):close()
          while true do end
        end)
      end)]])
    write("number.lua", "return { value = 2 }")
    proc.eventually(function() return proc.read_file(dir .. "/hangs") end, 30000, "the spec to hang")
    assert.equal("1", call())
    local summary, details = red()
    assert.equal("the specs were not done within 10 s (--gate-timeout) and were stopped; running was "
      .. "ticks hang at app/spec/tick_spec.lua:3", summary)
    assert.equal("", details)
    -- another save while they hang: they are ended at once, and the server they had is taken over
    os.remove(dir .. "/hangs")
    write("number.lua", "return { value = 3 }")
    proc.eventually(function() return proc.read_file(dir .. "/hangs") end, 30000, "the spec to hang again")
    write("spec/tick_spec.lua", files["spec/tick_spec.lua"])
    assert.truthy(green():find "passed")
    assert.equal("3", call())
  end)

  it("ends specs that run when it ends itself", function()
    start()
    write("spec/tick_spec.lua", 'it("hangs", function() assert(io.open("hangs", "w")):close() while true do end end)')
    write("number.lua", "return { value = 2 }")
    proc.eventually(function() return proc.read_file(dir .. "/hangs") end, 30000, "the spec to hang")
    local children = proc.children(process.pid)
    assert.equal(0, process:finish("TERM", 20000))
    for _, pid in ipairs(children) do assert.is_nil(proc.stat(pid)) end
  end)

  it("prints a page at most", function()
    start("--log-format", "pretty")
    local many = { 'local n = require("number").value' }
    for i = 1, 100 do
      many[#many + 1] = ('it("is small %d", function() assert.same({ a = { b = { c = { 1, 2, 3, 4 } } } }, { n, n }) end)'):format(i)
    end
    write("spec/number_spec.lua", table.concat(many, "\n"))
    write("number.lua", "return { value = 7 }")
    local _, page = await_line(function(text) return text:find(RED, 1, true) end)
    assert.truthy(page:find("101 of 103 specs failed\n", 1, true), page)
    assert.truthy(page:find("\n  app/spec/number_spec.lua:2: Expected objects to be the same.\n", 1, true), page)
    assert.truthy(page:find("\n  … and 97 more: rbf test shows all\n", 1, true), page)
    assert.is_nil(page:find("noise", 1, true), page)
    local lines = select(2, page:gsub("\n", ""))
    assert.is_true(lines <= 42, page)
  end)

  it("lets everything pass where there are no specs, and says so", function()
    start()
    os.execute("rm -r " .. dir .. "/app/spec")
    write("number.lua", "return { value = 9 }")
    await_line(function(text) return text:find("there are no *_spec.lua files", 1, true) end)
    await_line(function(text) return text == "reloaded" end)
    assert.equal("9", call())
  end)
end)
