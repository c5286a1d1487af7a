-- Headers as clients may send them: without a value, twice, over several lines.
local host = require "spec.support.host"

local app = {
  ["app.lua"] = [[
    local rbf = require "rbf"
    local app = rbf.defineBackend { queues = { jobs = {} } }
    local function handler(r)
      local h = {}
      for k, v in pairs(r.msg.headers) do h[k] = v end
      return h
    end
    local seen = app:mutation("jobs", { path = "seen", input = rbf.z.any(), handler = handler })
    local ask = app:query("jobs", { path = "ask", input = rbf.z.any(), handler = handler })
    local note = app:mutation("jobs", { path = "note", handler = function(r)
      if r.msg.attempt == 1 then rbf.retry { after = { ms = 10 } } end
      r.db:insert("notes", { id = r.msg.requestId, headers = handler(r) })
    end })
    local enqueue = app:mutation("jobs", { path = "enqueue", input = rbf.z.any(), handler = function(r)
      return r.scheduler:enqueue(note, { id = "note " .. r.input, headers = { [r.input] = "", ["X-Last"] = "z" } })
    end })
    return { seen = seen, note = note, enqueue = enqueue, ask = ask }]],
}

-- One of them is before each other header, wherever a client library puts it.
local NAMES = { "A", "B", "C", "D", "E", "F", "G", "H", "X-Empty", "Traceparent2" }

describe("a header without a value", function()
  local stage

  lazy_setup(function()
    stage = host.stage { app = app }
    stage.db:exec "CREATE TABLE notes (id text, headers jsonb)"
    stage:start()
  end)

  lazy_teardown(function()
    host.close(stage)
  end)

  it("costs no other its value, whatever the payload", function()
    for _, name in ipairs(NAMES) do -- (where there is no payload, libnats has looked at the headers)
      for _, data in ipairs { "null", "" } do
        local id = name .. ":" .. data .. "."
        local request = stage.client:start { subject = stage:subject("jobs", "seen"), data = data, id = id,
          headers = { [name] = "", ["X-Last"] = "z" } }
        assert.equal(0, stage.client:wait_all({ request }), id)
        assert.equal(200, request.reply.status, request.reply.raw)
        assert.same({ id, id, "", "z" }, { request.reply.headers["Request-Id"], request.reply.body["Request-Id"],
          request.reply.body[name], request.reply.body["X-Last"] })
      end
      local answer = stage.client:ask(stage.prefix .. "rpc.jobs.ask", "null",
        { headers = { [name] = "", ["X-Last"] = "z" } })
      assert.same({ "", "z" }, { answer.body[name], answer.body["X-Last"] })
    end
  end)

  it("travels with follow-ups and retries, and takes nothing along", function()
    for _, name in ipairs(NAMES) do
      assert.equal(200, stage:call("jobs.enqueue", ('"%s"'):format(name)).status)
    end
    stage:settle({ "jobs" }, 20000)
    for _, name in ipairs(NAMES) do
      local row = stage.db:query("SELECT headers->>$1 AS value, headers->>'X-Last' AS last FROM notes WHERE id = $2",
        name, "note " .. name)
      assert.same({ { value = "", last = "z" } }, row, name)
    end
  end)
end)
