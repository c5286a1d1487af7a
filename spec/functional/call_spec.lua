-- rbf call (and job:trigger, which is the same): one request, its answer and the exit code.
local host = require "spec.support.host"
local nats = require "spec.support.nats"
local proc = require "spec.support.proc"

local APP = [[
  local rbf = require "rbf"
  local app = rbf.defineBackend { queues = { jobs = {} } }
  local function op(path, handler, kind)
    return app[kind or "mutation"](app, "jobs", { path = path, input = rbf.z.any(), handler = handler })
  end
  return {
    echo = op("echo.$a.$b", function(r)
      return { input = r.input, a = r.params.a, b = r.params.b, x = r.msg.headers["X-Trace"], y = r.msg.headers["X-Other"],
        id = r.msg.requestId, reply = r.msg.headers["Reply-To"] }
    end),
    mark = op("mark", function(r)
      r.db:insert("marks", { id = r.msg.requestId, reply = r.msg.headers["Reply-To"] })
    end),
    marks = op("marks", function(r) return r.db:query "SELECT id, reply FROM marks" end, "query"),
    teapot = op("teapot", function() rbf.fail { status = 418, code = "TEAPOT", message = "short and stout" } end),
    down = op("down", function() error "broken" end),
    slow = op("slow", function() rbf.sleep { seconds = 3 } end),
  }]]

describe("rbf call", function()
  local stage

  lazy_setup(function()
    stage = host.stage { app = { ["app.lua"] = APP }, args = { "--unknown-grace", "100ms", "--max-attempts", "1" } }
    stage.db:exec "CREATE TABLE marks (id TEXT PRIMARY KEY, reply TEXT)"
    stage:start()
  end)

  lazy_teardown(function()
    host.close(stage)
  end)

  local function call(...)
    return host.rbf("call", "--nats-url", stage.nats.url, "--subject-prefix", stage.prefix, ...)
  end

  --- The answer of one that must succeed.
  local function result(...)
    local code, out, err = call(...)
    assert.equal(0, code, err)
    assert.equal("", err)
    assert.equal(1, select(2, out:gsub("\n", "")), "one line: " .. out)
    return nats.decode(out)
  end

  it("fills parameters into the path, whatever they hold", function()
    local got = result("jobs.echo.$a.$b", "--param", "a=x.y z", "--param=b=1=2", '{"n":[1,null,{}]}')
    assert.equal("x.y z", got.a)
    assert.equal("1=2", got.b)
    assert.equal(1, got.input.n[1])
    assert.equal("p", result("jobs.echo.p.q").a)
  end)

  it("says which parameter is missing or of no use", function()
    for words, message in pairs {
      [{ "jobs.echo.$a.$b", "--param", "a=1" }] = "parameter 'b' of path 'jobs.echo.$a.$b' is missing",
      [{ "jobs.echo.p.q", "--param", "a=1" }] = "--param a=1: 'jobs.echo.p.q' has no $a",
      [{ "jobs.echo.$ab.q", "--param", "a=1" }] = "--param a=1: 'jobs.echo.$ab.q' has no $a",
      [{ "jobs.mark", "--param", "a" }] = "--param is NAME=VALUE, found 'a'",
      [{ "jobs.mark", "--header", "a b=c" }] = "--header a b: the name or the value is one that no header can have",
      [{ "jobs.mark", "--header" }] = "--header needs a value",
      [{ "jobs.mark", "--timeout", "soon" }] = "--timeout is 'soon', expected a time like",
      [{ "jobs.mark", "--request-id", ("x"):rep(201) }] = "--request-id is 1 to 200 bytes of printable UTF-8",
      [{ "jobs.mark", "--request-id", "a", "--request-id", "b" }] = "--request-id is given more than once",
      [{ "jobs.mark", "@" .. stage.dir .. "/none.json" }] = "cannot read " .. stage.dir .. "/none.json: ",
      [{ "jobs.mark", "{}", "{}" }] = "usage: rbf call QUEUE.PATH [JSON | @FILE | -]",
      [{ "mark" }] = "PATH is like jobs.users.create, found 'mark'",
    } do
      local code, out, err = call(unpack(words))
      assert.equal(1, code, message)
      assert.equal("", out)
      assert.truthy(err:find("rbf: " .. message, 1, true), err)
      assert.equal(1, select(2, err:gsub("\n", "")), "one line: " .. err)
    end
    assert.equal(0, stage:count "marks")
  end)

  it("sends headers and the request id", function()
    local got = result("jobs.echo.a.b", "--header", "X-Trace=1=2", "--header", "X-Other=ü", "--request-id", "mine")
    assert.equal("1=2", got.x)
    assert.equal("ü", got.y)
    assert.equal("mine", got.id)
  end)

  it("takes the input from a file or from standard input", function()
    local path = stage.dir .. "/input.json"
    proc.write_file(path, ' { "from": "file" }\n')
    assert.equal("file", result("jobs.echo.a.b", "@" .. path).input.from)
    local code, out, err = proc.run { "sh", "-c", [[printf '{"from":"pipe"}' | "$0" call jobs.echo.a.b - "$@"]],
      host.binary(), "--nats-url", stage.nats.url, "--subject-prefix", stage.prefix, timeout = 30000 }
    assert.equal(0, code, err)
    assert.equal("pipe", nats.decode(out).input.from)
    proc.write_file(path, "{")
    code, out, err = call("jobs.echo.a.b", "@" .. path)
    assert.same({ 1, "" }, { code, out })
    assert.truthy(err:find "JSON", err)
  end)

  it("tells by its exit code what was answered", function()
    local code, out, err = call "jobs.teapot"
    assert.equal(4, code)
    assert.same({ code = "TEAPOT", message = "short and stout" }, nats.decode(out))
    assert.truthy(err:find "jobs.teapot answered with status 418\n$", err)
    assert.equal(4, (call "jobs.nothing"))
    code, out = call "jobs.down"
    assert.equal(5, code)
    assert.equal("INTERNAL_SERVER_ERROR", nats.decode(out).code)
    code, out, err = call("nowhere.at.all")
    assert.equal(1, code)
    assert.equal("", out)
    assert.truthy(err:find "does a host of this app run", err)
  end)

  it("waits as long as it is told; the request may still run then", function()
    local code, out, err = call("jobs.slow", "--timeout", "200ms", "--request-id", "slow-1")
    assert.equal(3, code)
    assert.equal("", out)
    assert.truthy(err:find("within 200 ms; the request may still run: ask again under its request id slow-1", 1, true), err)
  end)

  it("shows on a terminal, and only there, how long it waits", function()
    local words = ("%s call jobs.slow --nats-url %s --subject-prefix %s --timeout 1500ms"):format(host.binary(),
      stage.nats.url, stage.prefix)
    local code, out = proc.run { "script", "-qec", words, "/dev/null" }
    assert.equal(3, code)
    assert.truthy(out:find("\r" .. stage.prefix .. "jobs.slow: waiting for 1 s of 1\r\27[K", 1, true), out)
    local _, _, err = call("jobs.slow", "--timeout", "1500ms")
    assert.is_nil(err:find "waiting for", err)
  end)

  it("--no-wait ends when NATS has it, and says its request id", function()
    local code, out, err = call("jobs.mark", "--no-wait")
    assert.equal(0, code, err)
    local id = assert(out:match "^(%S+)\n$", out)
    local row = host.eventually(function()
      return stage.db:query("SELECT id, reply FROM marks WHERE id = $1", id)[1]
    end, 20000, "the request to run")
    assert.is_nil(row.reply, "somebody waits for it")
    code, out = call("jobs.mark", "--no-wait", "--request-id", "twice")
    assert.same({ 0, "twice\n" }, { code, out })
    assert.equal(0, (call("jobs.mark", "--no-wait", "--request-id", "twice")))
    stage:settle { "jobs" }
    assert.equal(1, stage.db:value "SELECT count(*) FROM marks WHERE id = 'twice'")
    code, out, err = call("nowhere.at.all", "--no-wait", "--timeout", "5s")
    assert.same({ 1, "" }, { code, out })
    assert.truthy(err:find "no stream takes", err)
  end)

  it("is job:trigger as well", function()
    local code, out, err = host.rbf("job:trigger", "--nats-url", stage.nats.url, "--subject-prefix", stage.prefix,
      "jobs.echo.$a.b", "--param", "a=1")
    assert.equal(0, code, err)
    assert.equal("1", nats.decode(out).a)
  end)
end)
