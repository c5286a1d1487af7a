-- rbf.http: handlers that ask other servers.
local host = require "spec.support.host"
local httpd = require "spec.support.httpd"
local proc = require "spec.support.proc"

describe("rbf.http", function()
  local stage, running, web, trusted, untrusted, ours

  local function start()
    running = stage:start { args = { "--http-ca-file", ours.cert } }
  end

  lazy_setup(function()
    ours = httpd.certificate()
    web, trusted, untrusted = httpd.start(), httpd.start(ours), httpd.start(httpd.certificate())
    stage = host.stage {
      app = "spec/apps/http",
      args = { "--max-attempts", "2", "--retry-initial", "10ms", "--connections", "8" },
    }
    start()
  end)

  lazy_teardown(function()
    host.close(stage)
    for _, server in ipairs { web, trusted, untrusted } do
      server:stop()
    end
  end)

  local function call(path, data, o)
    local reply = stage:call("jobs." .. path, data, o)
    assert.equal(200, reply.status, reply.raw)
    return reply.body
  end

  local function code_of(options)
    local body = call("call", options)
    assert.matches("app/http.lua:%d+: " .. body.code, body.message)
    return body.code
  end

  local function keys(server, path)
    local list = {}
    for i, request in ipairs(server:requests(path)) do
      list[i] = request.headers["idempotency-key"] or "none"
    end
    return list
  end

  describe("gives the answer", function()
    it("of a mutation's and of a query's request", function()
      for _, path in ipairs { "call", "ask" } do
        local body = call(path, {
          method = "post", url = web.url .. "/echo", body = "hello", headers = { ["content-TYPE"] = "text/x" },
        })
        assert.same({ status = 200, body = "hello", url = web.url .. "/echo", kind = "text/x" }, body)
      end
    end)

    it("whatever its status", function()
      assert.equal(500, call("call", { url = web.url .. "/status/500" }).status)
    end)

    it("with bytes of any kind, both ways", function()
      assert.is_true(call("binary", { url = web.url .. "/echo" }))
    end)

    it("with JSON, both ways", function()
      assert.same({ type = "application/json", list = {}, n = 1 }, call("json", { url = web.url .. "/echo" }))
    end)

    it("in user coroutines; explains where it cannot wait; savepoints undo what failed", function()
      local list = call("inside", { url = web.url .. "/status/204" })
      local sorted = table.remove(list)
      assert.same({ 204, 204, 204, false, "HTTP_CONNECT" }, list)
      assert.matches("app/http.lua:%d+: rbf.http.request works inside a handler only, and not in a callback", sorted)
      assert.equal(0, stage.db:value "SELECT count(*) FROM notes WHERE id = 'undone'")
    end)
  end)

  describe("verifies TLS", function()
    it("accepts what the CA file holds", function()
      assert.equal(200, call("call", { url = trusted.url .. "/bytes/3" }).status)
    end)

    it("refuses what it does not", function()
      assert.equal("HTTP_TLS", code_of { url = untrusted.url .. "/bytes/3" })
      assert.same({}, untrusted:requests "/bytes/3")
    end)

    it("refuses another name than the certificate's", function()
      assert.equal("HTTP_TLS", code_of { url = "https://localhost:" .. trusted.port .. "/secret" })
      assert.same({}, trusted:requests "/secret")
    end)

    it("also behind a redirect, and never leaves it by one", function()
      assert.equal("HTTP_TLS", code_of { url = web.url .. "/to/302/" .. untrusted.url .. "/bytes/3" })
      assert.equal("HTTP_REDIRECTS", code_of { url = trusted.url .. "/to/302/" .. web.url .. "/left" })
      assert.same({}, web:requests "/left")
    end)

    it("with the system's CAs, when none are named", function()
      running:stop()
      finally(start)
      local other = stage:start()
      assert.equal("HTTP_TLS", code_of { url = trusted.url .. "/bytes/3" })
      assert.equal(0, other:stop())
    end)
  end)

  it("raises errors that have codes, can be caught and fail no transaction", function()
    assert.equal("HTTP_CONNECT", code_of { url = "http://127.0.0.1:1/" })
    assert.equal("HTTP_TIMEOUT", code_of { url = web.url .. "/hold/never", timeout = { ms = 30 } })
    assert.equal("HTTP_TOO_LARGE", code_of { url = web.url .. "/bytes/1000", maxBytes = 999 })
    assert.equal("HTTP_TOO_LARGE", code_of { url = web.url .. "/endless" })
    assert.equal("HTTP_REDIRECTS", code_of { url = web.url .. "/redirect/6" })
    assert.equal("HTTP_REDIRECTS", code_of { url = web.url .. "/to/302/file:///etc/passwd" })
    assert.equal("HTTP_URL", code_of { url = "http://127.0.0.1:99999/" })
    assert.equal("HTTP_BROKEN", code_of { url = web.url .. "/drop" })
    assert.equal("landed", call("call", { url = web.url .. "/redirect/5" }).body)
    assert.equal(302, call("call", { url = web.url .. "/redirect/5", redirects = 0 }).status)
    call("call", { url = "http://127.0.0.1:1/" }, { id = "caught" })
    assert.equal(1, stage.db:value "SELECT count(*) FROM notes WHERE id = 'caught'")
  end)

  it("an error that nobody catches is like any other of a handler: details are for the log", function()
    local reply = stage:call("jobs.uncaught", { url = "http://127.0.0.1:1/?token=1" }, { id = "uncaught" })
    assert.equal(500, reply.status)
    assert.same({ code = "INTERNAL_SERVER_ERROR", message = "Internal server error" }, reply.body)
    local letter = stage.db:query "SELECT * FROM rbf_dead_letters WHERE request_id = 'uncaught'"[1]
    assert.matches("app/http.lua:%d+: HTTP_CONNECT: GET http://127.0.0.1:1: ", letter.error_message)
    assert.is_nil(letter.error_message:find("token", 1, true))
  end)

  it("refuses header values that would be more than one", function()
    local body = call("call", { url = web.url .. "/echo", headers = { ["X-A"] = "1\r\nX-B: 2" } })
    assert.matches("app/http.lua:%d+: rbf.http.request: header 'X%-A' has a line break", body.message)
    body = call("call", { url = web.url .. "/echo", headers = { ["X-A\r\nX-B"] = "1" } })
    assert.matches("app/http.lua:%d+: rbf.http.request: header 'X%-A", body.message)
    body = call("call", { url = web.url .. "/echo\r\nX-B: 2" })
    assert.matches("url holds white space", body.message)
    assert.same({}, web:requests "/echo\r\nX-B: 2")
  end)

  describe("sends an Idempotency-Key", function()
    it("that is the same when a conflict runs the handler again", function()
      assert.equal(1, call("conflict", { url = web.url }, { id = "order 7" }))
      assert.same({ "order 7/1", "order 7/1" }, keys(web, "/echo?pay"))
      assert.same({ "none", "none" }, keys(web, "/echo?look"))
      assert.same({ "order 7/3", "order 7/3" }, keys(web, "/echo?mail"))
    end)

    it("that is the same at the next attempt", function()
      assert.equal(2, call("again", { url = web.url .. "/echo?again" }, { id = "again" }))
      assert.same({ "again/1", "again/1" }, keys(web, "/echo?again"))
    end)

    it("unless there is one already", function()
      call("call", { method = "PUT", url = web.url .. "/echo?own", headers = { ["idempotency-KEY"] = "mine" } })
      assert.same({ "mine" }, keys(web, "/echo?own"))
    end)

    it("in onError hooks too, another", function()
      assert.equal(409, stage:call("jobs.alarm", { url = web.url .. "/echo" }, { id = "alarm" }).status)
      assert.same({ "alarm/1" }, keys(web, "/echo?work"))
      assert.same({ "alarm/onError/1" }, keys(web, "/echo?alarm"))
    end)

    it("but from no script", function()
      proc.write_file(stage.dir .. "/script.lua", ([[
        local rbf = require "rbf"
        local res = rbf.http.request { method = "POST", url = "%s", body = "hi" }
        print(res.status, res.body)]]):format(web.url .. "/echo?script"))
      local code, out, err = host.rbf("exec", "--app", stage.app, "--nats-url", stage.nats.url, "script.lua",
        { cwd = stage.dir })
      assert.equal(0, code, err)
      assert.equal("200\thi\n", out)
      assert.same({ "none" }, keys(web, "/echo?script"))
    end)

    it("that is the same after the worker was killed", function()
      local request = stage.client:start {
        subject = stage:subject("jobs", "call"), id = "killed",
        data = { method = "POST", url = web.url .. "/hold/kill" },
      }
      web:await "/hold/kill"
      assert.truthy(running:kill_worker())
      web:release "kill"
      assert.equal(0, stage.client:wait_all({ request }, 30000))
      assert.equal(200, request.reply.body.status)
      assert.same({ "killed/1", "killed/1" }, keys(web, "/hold/kill"))
      assert.equal(1, stage.db:value "SELECT count(*) FROM notes WHERE id = 'killed'")
      running:await_ready()
    end)
  end)

  describe("does not keep others waiting", function()
    it("while a server says nothing", function()
      local slow = stage.client:start {
        subject = stage:subject("jobs", "call"), data = { url = web.url .. "/hold/slow" },
      }
      web:await "/hold/slow"
      for _ = 1, 30 do
        call("plain")
        call("ask", { url = web.url .. "/bytes/1" })
      end
      assert.is_nil(slow.reply)
      call("ask", { url = web.url .. "/release/slow" })
      assert.equal(0, stage.client:wait_all({ slow }))
      assert.equal("released", slow.reply.body.body)
    end)

    it("that ask at the same time", function() -- the server answers none before it has heard all
      local requests = stage:start_many("jobs.ask", 16, function()
        return { url = web.url .. "/barrier/queries/16" }
      end)
      assert.equal(0, stage.client:wait_all(requests))
      for _, request in ipairs(requests) do
        assert.equal("together", request.reply.body.body, request.reply.raw)
      end
    end)

    it("a hundred", function()
      local requests = stage:start_many("jobs.call", 100, function(i)
        return { method = "POST", url = web.url .. "/echo?many", body = "n" .. i }, "many" .. i
      end)
      assert.equal(0, stage.client:wait_all(requests, 30000))
      local seen, conns = {}, {}
      for i, request in ipairs(requests) do
        assert.equal("n" .. i, request.reply.body.body, request.reply.raw)
      end
      for _, request in ipairs(web:requests "/echo?many") do
        seen[request.headers["idempotency-key"]], conns[request.conn] = true, true
      end
      for i = 1, 100 do
        assert.is_true(seen["many" .. i .. "/1"])
      end
      local n = 0
      for _ in pairs(conns) do n = n + 1 end
      assert.truthy(n <= 40, n .. " connections for 100 requests")
    end)
  end)

  it("ends with the handler's timeout, which nothing swallows", function()
    local reply = stage:call("jobs.short", { url = web.url .. "/hold/short" }, { id = "short" })
    assert.equal(500, reply.status)
    local letter = stage.db:query "SELECT * FROM rbf_dead_letters WHERE request_id = 'short'"[1]
    assert.matches("timeout", letter.error_message)
    assert.matches("app/http.lua:%d+", letter.error_traceback)
    assert.equal(2, #web:requests "/hold/short")
    web:release "short" -- nobody may hear it any more
    for _ = 1, 3 do
      assert.equal("released", call("call", { url = web.url .. "/hold/short" }).body)
    end
    assert.truthy(proc.stat(running:workers()[1]))
    assert.equal(0, running:stop())
    start()
  end)

  it("is waited for when the host is told to end", function()
    finally(start)
    local last = stage.client:start {
      subject = stage:subject("jobs", "call"), data = { url = web.url .. "/hold/last" },
    }
    web:await "/hold/last"
    running.process:kill "TERM"
    running:await_log "draining"
    web:release "last"
    assert.equal(0, running:wait())
    assert.equal(0, stage.client:wait_all({ last }))
    assert.equal("released", last.reply.body.body)
  end)

  it("leaves nothing behind", function()
    stage:settle { "jobs" }
    assert.equal(0, running:stop())
    start()
  end)

  it("is given up when the time to end is over", function()
    running:stop()
    finally(start)
    local host_ = stage:start { args = { "--shutdown-timeout", "100ms" } }
    local before = proc.now_ms()
    stage.client:start { subject = stage:subject("jobs", "call"), data = { url = web.url .. "/hold/over" } }
    web:await "/hold/over"
    host_.process:kill "TERM"
    assert.equal(0, host_:wait())
    assert.truthy(proc.now_ms() - before < 15000) -- not the 20 s that the request may take
    web:release "over"
  end)
end)
