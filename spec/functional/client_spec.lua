-- rbf exec: scripts that are clients of an app, against real hosts.
local lfs = require "lfs"
local host = require "spec.support.host"
local nats = require "spec.support.nats"
local proc = require "spec.support.proc"
local servers = require "spec.support.servers"

-- What every script of this file begins with; all on its first line.
local PROLOGUE = [[local rbf = require "rbf" local json = rbf.json.encode local backend = rbf.backend ]]
  .. [[local function try(f, ...) local ok, e = pcall(f, ...) if ok then return { ok = e } end ]]
  .. [[return { status = e.status, code = e.code, message = e.message, id = e.requestId, issues = e.issues } end ]]
  .. [[local function await(path) while not io.open(path) do rbf.sleep { ms = 5 } end end ]]
  .. [[local function touch(path) assert(io.open(path, "w")):close() end ]]

describe("a script", function()
  local stage, running

  local function write_script(text)
    proc.write_file(stage.dir .. "/script.lua", PROLOGUE .. text)
  end

  local function command(...)
    return { "exec", "--app", stage.app, "--nats-url", stage.nats.url, "--subject-prefix", stage.prefix,
      "script.lua", ... }
  end

  --- Runs a script to its end: exit code, stdout, stderr.
  local function run(text, ...)
    write_script(text)
    local words = command(...)
    words[#words + 1] = { cwd = stage.dir }
    return host.rbf(unpack(words))
  end

  --- The same, for one that must succeed and prints JSON.
  local function result(text, ...)
    local code, out, err = run(text, ...)
    assert.equal(0, code, err)
    return nats.decode(out)
  end

  --- Starts one; proc's process, and functions that read its output.
  local function start(text)
    write_script(text)
    local words = command()
    table.insert(words, 1, host.binary())
    words.cwd, words.out, words.err = stage.dir, stage.dir .. "/out", stage.dir .. "/err"
    os.remove(words.out)
    os.remove(words.err)
    local process = proc.spawn(words)
    finally(function() process:finish("KILL") end)
    return process, function()
      local code = process:wait(30000)
      assert.equal(0, code, proc.read_file(words.err))
      return nats.decode(proc.read_file(words.out))
    end
  end

  local function await_file(name)
    proc.eventually(function()
      return lfs.attributes(stage.dir .. "/" .. name, "mode")
    end, 20000, "the script to write " .. name)
  end

  local function rows(tag)
    return stage.db:value(("SELECT count(*) FROM done WHERE tag = '%s'"):format(tag))
  end

  local function open(o)
    o = o or {}
    stage = host.stage {
      app = "spec/apps/client", args = { "--unknown-grace", "100ms", "--max-attempts", "1" }, nats = o.nats,
    }
    if not o.no_host then
      running = stage:start()
    end
  end

  describe("with a host", function()
    lazy_setup(open)
    lazy_teardown(function() host.close(stage) end)

    it("gets the results of mutations and queries", function()
      local got = result [[
        local row = backend.mutations.mark { input = { tag = "a" } }
        print(json { tag = row.tag, n = backend.queries.count { params = { tag = "a" } }.n,
          none = backend.queries.nothing() == nil, by_op = backend.queries[require("client").count] {
          params = { tag = "b" } }.n }) ]]
      assert.same({ tag = "a", n = 1, none = true, by_op = 0 }, got)
    end)

    it("has its params encoded and its headers and input passed on", function()
      local got = result [[
        print(json(backend.mutations.echo { params = { a = "a.b c%*>ü", b = 7 }, headers = { ["X-Trace"] = "t 1" },
          input = { list = rbf.array {}, null = rbf.null, n = 9007199254740991 } })) ]]
      assert.same({ a = "a.b c%*>ü", b = "7" }, got.params)
      assert.equal("jobs.echo.a%2Eb%20c%25%2A%3E%C3%BC.7", got.subject)
      assert.equal("t 1", got.trace)
      assert.equal(9007199254740991, got.input.n)
      assert.equal(nats.decode("null"), got.input.null)
      assert.matches("^%x+%-%x+%-7", got.id)
      assert.equal(nats.decode("null"), result [[print(json(backend.mutations.echo { params = { a = 1, b = 2 } }))]].input)
    end)

    it("gets errors with status, code, message and issues", function()
      local got = result [[
        local m = backend.mutations
        print(json { bad = try(m.mark, { input = { tag = "" } }), taken = try(m.fail), boom = try(m.boom) }) ]]
      assert.equal(400, got.bad.status)
      assert.equal("BAD_REQUEST", got.bad.code)
      assert.equal("Invalid input: tag: Too small: expected string to have >=1 characters", got.bad.message)
      assert.same({ "tag" }, got.bad.issues[1].path)
      assert.equal(409, got.taken.status)
      assert.equal("TAKEN", got.taken.code)
      assert.equal("It is taken", got.taken.message)
      assert.same({ { path = { "tag" } } }, got.taken.issues)
      assert.equal(500, got.boom.status)
      assert.equal("INTERNAL_SERVER_ERROR", got.boom.code)
      assert.is_nil(got.boom.message:find "secret")
      assert.equal(nats.decode("null"), got.boom.issues or nats.decode("null"))
    end)

    it("gets 404 for what the host does not know", function()
      stage:write("newer.lua", [[
        local app = require("rbf").defineBackend { queues = { more = { subject = "jobs.more" } } }
        return { newer = app:mutation("more", { path = "newer", handler = function() end }) }]])
      finally(function() os.remove(stage.app .. "/newer.lua") end)
      local got = result [[print(json(try(backend.mutations.newer))) ]]
      assert.equal(404, got.status)
      assert.equal("NOT_FOUND", got.code)
    end)

    it("gets the same result under the same request id", function()
      local got = result [[
        local o = { input = { tag = "same" }, requestId = "order 7" }
        local first, second = backend.mutations.mark(o), backend.mutations.mark(o)
        print(json { first, second, backend.queries.count { params = { tag = "same" } },
          try(backend.mutations.mark, { input = { tag = "other" }, requestId = "order 7" }) }) ]]
      assert.same(got[1], got[2])
      assert.equal("order 7", got[1].request_id)
      assert.equal(1, got[3].n)
      assert.equal(409, got[4].status)
      assert.equal("REQUEST_ID_CONFLICT", got[4].code)
      assert.equal("order 7", got[4].id)
    end)

    it("cancels what waits for its time, and hears that it was", function()
      local text = [[
        local later = { ["Target-At"] = ("%d"):format(rbf.now() + 3600000) }
        local sent = backend.mutations.mark:send { input = { tag = "later" }, headers = later, requestId = "later" }
        local done = backend.mutations.mark { input = { tag = "done" }, requestId = "done" }
        while not backend.cancel "later" do rbf.sleep { ms = 10 } end
        local _, misuse = pcall(backend.cancel, 7)
        print(json { again = backend.cancel "later", done = backend.cancel "done", tag = done.tag,
          outcome = try(function() return sent:wait() end), misuse = misuse }) ]]
      write_script(text)
      local words = command()
      words[#words + 1] = { cwd = stage.dir, env = { DATABASE_URL = stage.db_url } }
      local code, out, err = host.rbf(unpack(words))
      assert.equal(0, code, err)
      local got = nats.decode(out)
      assert.same({ false, false, "done" }, { got.again, got.done, got.tag })
      assert.same({ 499, "ABORTED", "later" }, { got.outcome.status, got.outcome.code, got.outcome.id })
      assert.matches("backend.cancel's argument must be a string, found the number 7", got.misuse, 1, true)
      assert.equal(0, rows "later")
      local refused, _, why = run(text)
      assert.equal(1, refused)
      assert.matches("backend.cancel needs the database: set DATABASE_URL", why, 1, true)
    end)

    it("may send many at once", function()
      local n = host.scaled(500)
      local got = result([[
        local sent, n = {}, tonumber((...))
        for i = 1, n do sent[i] = backend.mutations.mark:send { input = { tag = "many" } } end
        local bad = backend.mutations.fail:send()
        for i = 1, n do sent[i] = sent[i]:wait().id end
        print(json { n = #sent, bad = try(bad.wait, bad), again = try(bad.wait, bad).status }) ]], n)
      assert.equal(n, got.n)
      assert.equal(n, rows "many")
      assert.equal(409, got.bad.status)
      assert.equal(409, got.again)
    end)

    it("ends when all it sent has an outcome, and tells of failures nobody waited for", function()
      assert.equal(0, (run [[for _ = 1, 20 do backend.mutations.mark:send { input = { tag = "left", ms = 20 } } end]]))
      assert.equal(20, rows "left")
      local code, _, err = run("\nbackend.mutations.fail:send()\nbackend.mutations.mark:send { input = { tag = 'l' } }")
      assert.equal(1, code)
      assert.equal("rbf: script.lua:2: 1 of the requests that were sent and not waited for failed; this one: "
        .. "It is taken (409 TAKEN)\n", err)
      assert.equal(1, rows "l")
    end)

    it("is given 504 in time when the host does not answer, and the result later", function()
      local before = #running:workers()
      for _, pid in ipairs(running:workers()) do proc.kill(pid, "STOP") end
      finally(function() running:wake() end)
      assert.is_true(before > 0)
      local got = result [[
        print(json { m = try(backend.mutations.mark, { input = { tag = "late" }, requestId = "late 1",
            timeout = { ms = 200 } }),
          q = try(backend.queries.count, { params = { tag = "late" }, timeout = { ms = 200 } }) }) ]]
      assert.equal(504, got.m.status)
      assert.equal("TIMEOUT", got.m.code)
      assert.matches("within 200 ms; the request may still run: ask again under its request id late 1$", got.m.message)
      assert.equal("late 1", got.m.id)
      assert.equal(504, got.q.status)
      running:wake()
      assert.equal("late 1", result [[
        print(json(backend.mutations.mark { input = { tag = "late" }, requestId = "late 1" })) ]].request_id)
      assert.equal(1, rows "late")
    end)

    it("is not for handlers, which would wait for themselves", function()
      assert.equal("client.lua:43: backend.mutations.mark: it would wait for this host itself; enqueue it instead: "
        .. "r.scheduler:enqueue(operation, { input = … })",
        (result [[print(json(backend.mutations.inside()))]]:gsub("^.*/", "")))
    end)

    it("is not for files of the app, which are loaded before there is anything to call", function()
      stage:write("early.lua", [[local x = require("rbf").backend.mutations.mark { input = { tag = "x" } } return x]])
      finally(function() os.remove(stage.app .. "/early.lua") end)
      local code, _, err = run "print(1)"
      assert.equal(1, code)
      assert.matches("app/early%.lua:1: backend.mutations.mark works in a script that `rbf exec` runs", err)
    end)

    it("takes main.lua's backend as its own", function()
      stage:write("main.lua", [[
        return require("rbf").createBackend(require("client").app, { subjectPrefix = "wrong." })]])
      local text = proc.read_file(stage.app .. "/client.lua")
      stage:write("client.lua", (text:gsub("\nreturn {", "\nreturn { app = app,")))
      finally(function()
        os.remove(stage.app .. "/main.lua")
        stage:write("client.lua", text)
      end)
      assert.equal(0, result [[print(json(require("main").queries.count { params = { tag = "none" } })) ]].n)
    end)

    it("costs little a call", function()
      local n = host.scaled(500)
      local got = result([[
        local n, t = tonumber((...)), rbf.now()
        for _ = 1, n do backend.mutations.mark { input = { tag = "row" } } end
        local t2 = rbf.now()
        for _ = 1, n do backend.queries.nothing() end
        print(json { (t2 - t) / n, (rbf.now() - t2) / n }) ]], n)
      assert.equal(n, rows "row")
      host.figures("client", "%d calls in a row: %.2f ms a mutation, %.2f ms a query", n, got[1], got[2])
    end)
  end)

  describe("of its own", function()
    lazy_setup(open)
    lazy_teardown(function() host.close(stage) end)

    it("sees its arguments, files and the environment, and prints to standard output", function()
      local code, out, err = run([[
        print(arg[0]:match "[^/]*$", #arg, arg[1], ...)
        io.write(os.getenv "HOME" ~= nil and "home" or "none", "\n")
        rbf.log:info("to the log", { n = 1 })
        local f = io.popen "echo popen" io.write(f:read "*a") ]], "--nats-url", "b c")
      assert.equal(0, code, err)
      assert.equal("script.lua\t2\t--nats-url\t--nats-url\tb c\nhome\npopen\n", out)
      assert.matches("to the log", err)
    end)

    local codes = {
      { "return", 0 }, { "return true", 0 }, { "return false", 1 }, { "return 3", 3 },
      { "os.exit(4)", 4 }, { "#!/usr/bin/env -S rbf exec\nreturn 5", 5, bare = true },
    }
    for _, case in ipairs(codes) do
      it(("exits with %d for %q"):format(case[2], case[1]), function()
        if case.bare then
          proc.write_file(stage.dir .. "/bare.lua", case[1])
          assert.equal(case[2], (host.rbf("exec", "--app", stage.app, "--nats-url", stage.nats.url,
            stage.dir .. "/bare.lua")))
        else
          assert.equal(case[2], (run(case[1])))
        end
      end)
    end

    local errors = {
      { "\nlocal x = = 1", "rbf: script.lua:2: unexpected symbol near '='\n" },
      { "\nlocal function f() error 'oops' end\nf()\n",
        "rbf: script.lua:2: oops\n  script.lua:2: in 'f'\n  script.lua:3: in main chunk\n" },
      { "\nbackend.mutations.fail()\n",
        "rbf: script.lua:2: It is taken (409 TAKEN)\n  script.lua:2: in main chunk\n" },
      { "\nreturn 256", "rbf: script.lua: a script returns nothing or its exit code, 0 to 255; found the number 256\n" },
      { "\nbackend.mutations.mrk {}", "rbf: script.lua:2: backend.mutations: no mutation 'mrk', did you mean 'mark'? "
        .. "(the app has: boom, echo, fail, inside, mark)\n  script.lua:2: in main chunk\n" },
      { "\nbackend.mutations.count {}", "rbf: script.lua:2: 'count' is a query: use backend.queries.count\n"
        .. "  script.lua:2: in main chunk\n" },
      { "\nbackend.mutations.mark { imput = {} }", "rbf: script.lua:2: backend.mutations.mark: unknown key 'imput', "
        .. "did you mean 'input'? (known: headers, input, params, requestId, retries, timeout)\n"
        .. "  script.lua:2: in main chunk\n" },
      { "\nlocal x = db", "rbf: script.lua:2: undefined global 'db': scripts are clients; put SQL and scheduling into "
        .. "a handler, and call it by rbf.backend.mutations.NAME { … }\n  script.lua:2: in main chunk\n" },
      { "\nx = 1", "rbf: script.lua:2: global 'x' is not allowed; write 'local x'\n  script.lua:2: in main chunk\n" },
    }
    for _, case in ipairs(errors) do
      it("tells an error by its place: " .. case[2]:match "[^\n]*", function()
        local code, out, err = run(case[1])
        assert.equal(1, code)
        assert.equal("", out)
        assert.equal(case[2], err)
      end)
    end

    it("says what it needs", function()
      local function says(want, ...)
        local words = { "exec", ... }
        words[#words + 1] = { cwd = stage.dir }
        local code, _, err = host.rbf(unpack(words))
        assert.equal(1, code)
        assert.matches(want, err)
      end
      write_script ""
      says "^rbf: usage: rbf exec"
      says("^rbf: cannot read none.lua: No such file", "--app", stage.app, "none.lua")
      says("^rbf: no rbf dev runs in .rbf", "--app", stage.app, "script.lua")
      says("^rbf: nowhere is not a folder", "--app", "nowhere", "script.lua")
      says("^rbf: cannot connect to NATS at 127.0.0.1:1 ", "--nats-url", "nats://127.0.0.1:1", "--app", stage.app,
        "script.lua")
      says("client.lua is one of the app's own files", "--app", stage.app, stage.app .. "/client.lua")
    end)

    it("may compute as long as it likes", function()
      assert.equal(0, (run "local t = os.clock() while os.clock() - t < 1.2 do end")) -- handlers: 1 s
    end)

    it("ends at once when it is interrupted", function()
      for _, wait in ipairs { "rbf.sleep { hours = 1 }", "while true do end" } do
        os.remove(stage.dir .. "/here")
        local process = start("touch 'here' " .. wait)
        await_file "here"
        process:kill "INT"
        local _, signal = process:wait(5000)
        assert.equal(2, signal)
      end
    end)
  end)

  -- The spec plays the host, beside a stream: what is on the wire.
  describe("on the wire", function()
    local sub, known, stream, server

    lazy_setup(function() server = servers.new_nats() end)
    lazy_teardown(function() server:stop() end)
    before_each(function()
      open { no_host = true, nats = server }
      stream, known = stage.prefix:gsub("%.", "_") .. "jobs", {}
      stage.client:js("STREAM.CREATE." .. stream, { name = stream, subjects = { stage.prefix .. "jobs.>" }, storage = "file" })
      stage.client:await_stream(stage:subject("jobs", "fail"))
      sub = stage.client:subscribe(stage.prefix .. "jobs.>")
    end)
    after_each(function() host.close(stage) end)

    local function next_message()
      return proc.eventually(function() return stage.client:next(sub, 20) end, 20000, "a request")
    end

    -- The next message but for copies: one that the stream does not confirm within 3 s is sent again.
    local function next_request()
      local m
      repeat m = next_message() until not known[m.headers["Nats-Msg-Id"]]
      known[m.headers["Nats-Msg-Id"]] = true
      return m
    end

    local function answer(m, status, body)
      stage.client:publish { subject = m.headers["Reply-To"], data = body, headers = { ["Status-Code"] = status } }
    end

    it("is asked again under the same id after 503, as another message", function()
      local _, finish = start [[print(json(backend.mutations.fail { retries = 2, requestId = "r 1" })) ]]
      local seen, ids = {}, {}
      for i = 1, 3 do
        seen[i] = next_request()
        answer(seen[i], i < 3 and 503 or 200, i < 3 and '{"code":"OVERLOADED","message":"later"}' or "[3]")
        assert.equal("r 1", seen[i].headers["RBF-Request-Id"])
        assert.equal("null", seen[i].raw)
        ids[seen[i].headers["Nats-Msg-Id"]] = true
      end
      assert.same({ 3 }, finish())
      local n = 0
      for _ in pairs(ids) do n = n + 1 end
      assert.equal(3, n)
    end)

    it("gives the error when the retries are used up", function()
      local _, finish = start [[print(json(try(backend.mutations.fail, { retries = 1 }))) ]]
      for _ = 1, 2 do
        local m = next_request()
        answer(m, 503, '{"code":"OVERLOADED","message":"later"}')
      end
      local got = finish()
      assert.same({ 503, "OVERLOADED", "later" }, { got.status, got.code, got.message })
    end)

    it("is sent again as the same message when nobody confirms that it is stored", function()
      stage.client:js("STREAM.DELETE." .. stream)
      local _, finish = start [[print(json(backend.mutations.fail())) ]]
      local first, second = next_message(), next_message()
      assert.same(first.headers, second.headers)
      assert.equal(first.raw, second.raw)
      answer(second, 200, '"done"')
      assert.equal("done", finish())
    end)

    it("is sent again once when nobody confirms it and the answer is to try later, both at a time", function()
      stage.client:js("STREAM.DELETE." .. stream)
      local _, finish = start [[
        local got = backend.mutations.fail { retries = 3 }
        rbf.sleep { ms = 1500 } -- whatever else was planned comes now
        print(json(got))
      ]]
      local first = next_message()
      proc.sleep_ms(3050)
      answer(first, 503, '{"code":"OVERLOADED","message":"later"}')
      answer(next_message(), 200, '"done"')
      assert.equal("done", finish())
    end)

    -- A stream that remembers the message would drop it, and nobody would answer.
    it("is asked again as another message when the answer may be lost with the connection", function()
      local _, finish = start [[print(json(backend.mutations.fail())) ]]
      local first = next_request()
      server:stop()
      server:start()
      local second = next_request()
      assert.equal(first.headers["RBF-Request-Id"], second.headers["RBF-Request-Id"])
      assert.equal(first.headers["Reply-To"], second.headers["Reply-To"])
      assert.not_equal(first.headers["Nats-Msg-Id"], second.headers["Nats-Msg-Id"])
      answer(second, 200, '"done"')
      assert.equal("done", finish())
    end)

    it("takes what is no answer as 502", function()
      local _, finish = start [[print(json { try(backend.mutations.fail), try(backend.mutations.fail) }) ]]
      answer(next_request(), nil, "1")
      answer(next_request(), 200, "{")
      local got = finish()
      assert.same({ 502, 502 }, { got[1].status, got[2].status })
    end)
  end)

  it("asks queries without a stream, and hears at once when nobody serves them", function()
    open { no_host = true }
    finally(function() host.close(stage) end)
    local sub = stage.client:subscribe(stage.prefix .. "rpc.jobs.nothing")
    local _, finish = start [[
      local q = backend.queries
      print(json { q.nothing { requestId = "q 1" }, try(q.count, { params = { tag = "x" }, timeout = { minutes = 5 } }),
        try(q.nothing, { timeout = { ms = 100 } }) }) ]]
    for i = 1, 2 do
      local m = proc.eventually(function() return stage.client:next(sub, 20) end, 20000, "a request")
      assert.equal("q 1", m.headers["RBF-Request-Id"])
      assert.is_nil(m.headers["Reply-To"])
      stage.client:publish {
        subject = m.reply, data = i < 2 and '{"code":"OVERLOADED","message":"later"}' or "[1]",
        headers = { ["Status-Code"] = i < 2 and 503 or 200 },
      }
    end
    local got = finish()
    assert.same({ 1 }, got[1])
    assert.equal(503, got[2].status)
    assert.equal(("nobody serves '%srpc.jobs.count.x': does a host of this app run, under this subject prefix?")
      :format(stage.prefix), got[2].message)
    assert.equal(504, got[3].status)
    assert.matches("within 100 ms$", got[3].message)
  end)

  it("finds the rbf dev that runs in its folder, and the app that one serves", function()
    open { no_host = true }
    local log = stage.dir .. "/dev.log"
    local dev = proc.spawn {
      host.binary(), "dev", stage.app, "--subject-prefix", "dev.", cwd = stage.dir, out = log, err = log,
      env = { DATABASE_URL = false, NATS_URL = false, RBF_SUBJECT_PREFIX = false },
    }
    finally(function()
      dev:finish("TERM", 20000)
      host.close(stage)
    end)
    proc.eventually(function()
      return (proc.read_file(log) or ""):find("Ctrl-C stops", 1, true)
    end, 60000, function() return "rbf dev; it said: " .. (proc.read_file(log) or "") end)
    write_script 'print(backend.mutations.echo { params = { a = 1, b = 2 } }.subject)'
    local code, out, err = host.rbf("exec", "script.lua", { cwd = stage.dir })
    assert.equal(0, code, err)
    assert.equal("jobs.echo.1.2\n", out)
    code, out, err = host.rbf("job:trigger", "jobs.nothing", { cwd = stage.dir })
    assert.equal(0, code, err)
    assert.equal("null\n", out)
  end)

  it("hears at once when nothing takes its requests", function()
    open { no_host = true }
    finally(function() host.close(stage) end)
    local got = result [[print(json(try(backend.mutations.fail, { timeout = { minutes = 5 } }))) ]]
    assert.equal(503, got.status)
    assert.equal("UNAVAILABLE", got.code)
    assert.equal(("no stream takes '%sjobs.fail': does a host of this app run, under this subject prefix?")
      :format(stage.prefix), got.message)
  end)

  describe("without NATS for a while", function()
    local server

    before_each(function()
      server = servers.new_nats()
      open { nats = server }
    end)
    after_each(function()
      if not server.process:alive() then server:start() end
      host.close(stage)
      server:stop()
    end)

    it("is given 503 in time", function()
      local _, finish = start [[
        touch "ready"
        await "gone"
        print(json(try(backend.mutations.mark, { input = { tag = "x" }, timeout = { ms = 300 } }))) ]]
      await_file "ready"
      server:stop()
      proc.write_file(stage.dir .. "/gone", "")
      local got = finish()
      assert.equal(503, got.status)
      assert.equal("UNAVAILABLE", got.code)
      assert.matches("^NATS is away: ", got.message)
    end)

    it("goes on when it is back, and nothing takes effect twice", function()
      local n = host.scaled(200, 40)
      local _, finish = start(([[
        local sent, n = {}, %d
        for i = 1, n do sent[i] = backend.mutations.mark:send { input = { tag = "cut", ms = i %% 40 } } end
        touch "sent"
        local slow = backend.mutations.mark { input = { tag = "slow", ms = 300 } }
        local ids = {}
        for i = 1, n do ids[sent[i]:wait().id] = true end
        local different = 0
        for _ in pairs(ids) do different = different + 1 end
        print(json { different, slow.tag }) ]]):format(n))
      await_file "sent"
      proc.eventually(function() return rows "cut" > n / 10 end, 20000, "some of the requests")
      server:stop()
      server:start()
      assert.same({ n, "slow" }, finish())
      assert.equal(n, rows "cut")
      assert.equal(1, rows "slow")
    end)
  end)
end)
