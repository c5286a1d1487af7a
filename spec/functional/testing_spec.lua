-- rbf test, and the testing library: its specs are in spec/apps/testing.
local host = require "spec.support.host"
local pg = require "spec.support.pg"
local proc = require "spec.support.proc"
local servers = require "spec.support.servers"

local app = "spec/apps/testing"
local failing = app .. "/failing/asserts_spec.lua"
local state = proc.temp_dir "testing"

local function rbf_test(...)
  local words = { "test", "--state-dir", state, ... }
  words[#words + 1] = { timeout = 180000 }
  return host.rbf(unpack(words))
end

--- One message for each spec of that file that failed, by its name.
local function messages(out)
  local found, name = {}, nil
  for line in out:gmatch "[^\n]+" do
    if name then found[name], name = line, nil end
    name = line:match "^fails: (.*)$" or name
  end
  return found
end

local expected = {
  ["not scheduled"] = 'Expected jobs.notes.add { input = { key = "other" } } to be scheduled. Scheduled was:',
  ["another time"] = "Expected jobs.notes.add { input = { key = \"delayed\" } } after 7200000 ms to be scheduled.",
  ["a matcher"] = "Expected jobs.notes.add { input = { key = (number) } } to be scheduled.",
  ["a part of the input"] = "Expected jobs.notes.add { input = {} } to be scheduled.",
  ["another header"] = 'Expected jobs.notes.add { headers = { X-From = "elsewhere" } } to be scheduled.',
  ["another moment"] = "Expected jobs.notes.add at ",
  ["other params"] = 'Expected jobs.notes.name.$name { params = { name = "later" } } to be scheduled.',
  ["another id"] = 'Expected slow.flaky { id = "flaky-2" } to be scheduled.',
  ["a key that is not there"] = "assert.scheduled: unknown key 'inptu' in what was scheduled, did you mean 'input'?",
  ["a time that is not there"] = "assert.scheduled: unknown key 'before' in when",
  ["nothing published"] = "Expected a message to news.notes. Nothing was published.",
  ["a factory's row"] = 'column "nme" of relation "names" does not exist (SQLSTATE 42703)',
  ["a reply's key"] = "t.http:reply: unknown key 'uri', did you mean 'url'?",
  ["no duration"] = "t:advance's argument must be a duration such as { seconds = 30 }, found the number 60",
  ["no time"] = 't:setTime takes ms since the epoch, found the string "now"',
  ["another app"] = "specs of 'elsewhere' are run by `rbf test --app elsewhere`",
  ["scheduled after all"] = "Expected jobs.notes.add not to be scheduled.",
  ["something scheduled"] = "Expected nothing to be scheduled. Scheduled was:",
  ["nothing scheduled"] = "Expected jobs.notes.add to be scheduled. Nothing was scheduled.",
  ["not published"] = "Expected a message to news.notes { planned = false }. Published was:",
  ["published after all"] = "Expected no message to news.notes. Published was:",
  ["an unexpected request"] = "unexpected request POST https://api.example.com/: say what it gets by t.http:reply",
  ["an error nobody expected"] = "500 INTERNAL_SERVER_ERROR: Internal server error",
  ["a query as a mutation"] = "t:mutate: jobs.notes.list is a query: use t:query",
  ["an unknown operation"] = "t:mutate: no operation 'jobs.notes.ad', did you mean 'jobs.notes.add'?",
  ["an unknown option"] = "t:mutate: unknown key 'inputs', did you mean 'input'?",
  ["an unknown member"] = "t has no 'qery', did you mean 'query'?",
  ["an unknown verb"] = "t.db has no 'inset', did you mean 'insert'?",
  ["SQL"] = 'column "nonsense" does not exist (SQLSTATE 42703)',
  ["an endless drain"] = "t:drain ran 2000 tasks, and there are more",
  ["a client's call"] = "a spec has no hosts to send to: use t:mutate and t:query",
}

describe("rbf test", function()
  it("runs the specs of the testing library", function()
    local code, out, err = rbf_test("--app", app, app .. "/spec")
    assert.equal(0, code, out .. err)
    assert.truthy(out:find "4%d successes / 0 failures / 0 errors / 0 pending", out)
  end)

  it("is quick: 500 database specs", function()
    local folder, lines = proc.temp_dir "many", { [[local t, users = require("rbf.testing").load(), require "users"]] }
    proc.copy_tree("handlers", folder)
    for i = 1, host.scaled(500) do
      lines[#lines + 1] = ([[it("%d", function()
        assert(t:mutate(users.createUser, { input = { email = "ada@example.com", name = "Ada" } }))
        assert.equal(1, t.db:one("SELECT count(*) AS n FROM users").n)
      end)]]):format(i)
    end
    proc.write_file(folder .. "/spec/many_spec.lua", table.concat(lines, "\n"))
    local code, out, err = rbf_test("--app", folder, folder .. "/spec/many_spec.lua")
    assert.equal(0, code, out .. err)
    assert.truthy(out:find(("\n%d successes / 0 failures"):format(host.scaled(500)), 1, true), out)
    host.figures("rbf test", "%s", out:match "\n(%d+ successes[^\n]*)")
  end)

  it("runs the default app's example", function()
    local code, out, err = rbf_test "handlers"
    assert.equal(0, code, out .. err)
    assert.truthy(out:find("7 successes / 0 failures / 0 errors", 1, true), out)
  end)

  describe("when a spec fails", function()
    local code, out, found

    lazy_setup(function()
      code, out = rbf_test("--verbose", "--app", app, failing)
      found = messages(out)
    end)

    for name, message in pairs(expected) do
      it("says why, and where: " .. name, function()
        assert.truthy(found[name], out)
        assert.truthy(found[name]:find(message, 1, true), found[name])
        local file = name == "an unexpected request" and app .. "/notes.lua" or failing
        assert.equal(file, found[name]:match "^(.-):%d+: ")
      end)
    end

    it("exits with 1", function() assert.equal(1, code) end)

    it("knows no other", function()
      local failures, errors = out:match "\n0 successes / (%d+) failures / (%d+) errors"
      assert.equal(31, failures + errors, out)
    end)

    it("shows none of our own frames", function()
      assert.is_nil(out:find("lua/rbf/", 1, true), out)
      assert.is_nil(out:find("busted/", 1, true), out)
    end)

    it("shows the handler's line", function()
      assert.truthy(out:find(app .. "/notes.lua:34: then it broke", 1, true), out)
    end)
  end)

  it("starts no database for pure specs", function()
    local folder = proc.temp_dir "pure"
    local code, out, err = host.rbf("test", "--state-dir", folder, "--app", app, app .. "/spec/pure_spec.lua")
    assert.equal(0, code, out .. err)
    assert.is_nil(proc.read_file(folder .. "/test/lock"))
  end)

  it("filters, and speaks TAP and JUnit", function()
    local code, out = rbf_test("--app", app, "-o", "TAP", "--filter", "is read%-only", app .. "/spec")
    assert.equal(0, code)
    assert.equal("ok 1 - a query is read-only\n1..1\n", out)
    code, out = rbf_test("--app", app, "--output=junit", app .. "/spec/pure_spec.lua")
    assert.equal(0, code)
    assert.truthy(out:find("<testcase", 1, true), out)
  end)

  it("--coverage names the lines of functions that did not run", function()
    local folder = proc.temp_dir "covered"
    proc.copy_tree("handlers", folder)
    proc.write_file(folder .. "/sums.lua", [[
local function sign(n)
  if n < 0 then
    return -1
  end
  if n == 0 then
    return 0
  else
    return 1
  end
end

local function never()
  local a = 1
  return a
end

local function once(n)
  for _ = 1, 3 do
    n = n + 1
  end
  return n
end

return { sign = sign, never = never, once = once }]])
    proc.write_file(folder .. "/spec/sums_spec.lua", [[
      local sums = require "sums"
      it("adds", function() assert.equal(4, sums.once(1)) end)
      it("knows zero, in a coroutine", function() assert.equal(0, coroutine.wrap(sums.sign)(0)) end)]])
    local code, out, err = rbf_test("--app", folder, "--coverage", "-o", "TAP", folder)
    assert.equal(0, code, out .. err)
    assert.truthy(out:find("1..9\n", 1, true), out)
    assert.truthy(err:find("\n   60 %  sums.lua  not run: 3, 8-14\n", 1, true), err)
    assert.truthy(err:find("\n   83 %  users.lua  not run: 28\n", 1, true), err)
    assert.truthy(err:find "Coverage of the lines in functions: %d+ %%\n", err)
    -- what the watchdog stops ends nothing
    code, out, err = rbf_test("--app", app, "--coverage", app .. "/spec/run_spec.lua")
    assert.equal(0, code, out .. err)
    assert.is_nil(err:find("141", 1, true), err)
    assert.truthy(err:find(" notes.lua  not run: ", 1, true), err)
  end)

  it("uses a database of its own on the server of DATABASE_URL, and drops it", function()
    local url = servers.postgres():new_database()
    local db = pg.connect(url)
    local code, out, err = rbf_test("--database-url", url, "--app", app, app .. "/spec")
    assert.equal(0, code, out .. err)
    assert.equal(0, db:value "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
    assert.equal(0, db:value "SELECT count(*) FROM pg_database WHERE datname LIKE 'rbf\\_test\\_%'")
    db:close()
  end)

  it("--watch runs what depends on the saved file", function()
    local folder, log = proc.temp_dir "watched", proc.scratch() .. "/watch.out"
    proc.copy_tree("handlers", folder)
    proc.write_file(folder .. "/alone.lua", "return {}")
    proc.write_file(folder .. "/spec/mail_spec.lua", 'require "email"\nit("mails", function() end)')
    local process = proc.spawn {
      host.binary(), "test", "--watch", "-o", "TAP", "--state-dir", state, "--app", folder, out = log, err = log,
    }
    local seen = 0
    local function next_run()
      local text
      proc.eventually(function()
        text = proc.read_file(log):sub(seen + 1)
        return text:find("waiting for a change", 1, true)
      end, 30000, "a run of the specs")
      seen = seen + #text
      return text
    end
    assert.truthy(next_run():find("\n1..8\n", 1, true))
    local function save(name)
      local path = folder .. "/" .. name
      proc.write_file(path, proc.read_file(path) .. "\n-- saved")
      return next_run()
    end
    assert.truthy(save("users.lua"):find("\n1..7\n", 1, true))
    assert.truthy(save("email.lua"):find("\n1..8\n", 1, true))
    assert.truthy(save("spec/mail_spec.lua"):find("\n1..1\n", 1, true))
    process:finish()
  end)

  it("names what is missing", function()
    local code, _, err = rbf_test "nowhere_spec.lua"
    assert.equal(1, code)
    assert.equal("rbf: nowhere_spec.lua is not there: name spec files or folders\n", err)
  end)

  describe("left out, busted by itself", function()
    local function busted(...)
      return proc.run { "busted", "--lua=luajit", "-o", "plainTerminal", "--lpath=lua/?.lua", "--lpath=lua/?/init.lua", ... }
    end

    it("runs specs that need no database", function()
      local code, out = busted(app .. "/spec/pure_spec.lua")
      assert.equal(0, code, out)
      assert.truthy(out:find("3 successes / 0 failures / 0 errors / 0 pending", 1, true), out)
    end)

    it("has the app's files, its own globals and JSON for several spec files, and no host", function()
      local folder = proc.temp_dir "plain"
      proc.copy_tree("handlers", folder)
      proc.write_file(folder .. "/writes.lua", "return function() leaked = 1 end")
      proc.write_file(folder .. "/spec/one_spec.lua", [[
        local rbf = require "rbf"
        local users, writes = require "users", require "writes"
        it("checks schemas", function()
          local result = users.createUser.input:safeParse { email = "nobody", name = "Ada" }
          assert.is_false(result.success)
          assert.same({ "email" }, result.error.issues[1].path)
          assert.equal('{"a":[],"b":1234567890123456}', rbf.json.encode { a = rbf.array {}, b = 1234567890123456 })
        end)
        it("keeps handlers from globals", function() assert.error_matches(writes, "global 'leaked' is not allowed") end)
        it("has no host", function() rbf.sleep { ms = 1 } end)]])
      proc.write_file(folder .. "/spec/two_spec.lua", [[
        local t, users = require("rbf.testing").load(), require "users"
        it("has them, too", function() assert.is_table(users.createUser) end)
        it("has no database", function() t:mutate "jobs.users.create" end)]])
      local code, out = busted(folder .. "/spec/one_spec.lua", folder .. "/spec/two_spec.lua")
      assert.equal(1, code, out)
      assert.truthy(out:find("3 successes / 0 failures / 2 errors / 0 pending", 1, true), out)
      assert.truthy(out:find("/one_spec.lua:10: there is no host here to answer (ask): run this spec by `rbf test`", 1, true), out)
      assert.truthy(out:find("/two_spec.lua:3: this needs the database: run this spec by `rbf test`", 1, true), out)
    end)
  end)

  it("says how to run a spec that busted itself was given", function()
    local _, out = proc.run { "busted", "--lua=luajit", "--lpath=lua/?.lua", "handlers/spec/users_spec.lua" }
    assert.truthy(out:find("run this spec by `rbf test`", 1, true), out)
  end)
end)
