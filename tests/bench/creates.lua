-- What the benches share: a round of creates, timed from the first publish to the last welcome.
local proc = require "spec.support.proc"
local nats = require "spec.support.nats"

local _M = {}

function _M.median(list)
  table.sort(list)
  return list[math.ceil(#list / 2)]
end

--- A host on a stage of handlers/ that answers.
function _M.start(stage, args)
  local running = stage:start { args = args or { "--log-level", "warn" }, no_wait = true }
  proc.eventually(function()
    return pcall(stage.call, stage, "jobs.users.get.00000000-0000-0000-0000-000000000000", nil)
  end, 30000, "the host answers")
  return running
end

--- n creates, published at once: how many a second until every reply is there and every user
--- welcomed.
function _M.round(stage, n)
  local client, requests = stage.client, {}
  local before = stage.db:value "SELECT count(*) FROM emails"
  local t0 = proc.now_ms()
  for i = 1, n do
    requests[i] = client:start {
      subject = stage:subject("jobs", "users.create"),
      data = ('{"email":"%s@example.com","name":"Bench"}'):format(nats.uuid()),
    }
  end
  assert(client:wait_all(requests, 120000) == 0, "requests without a reply")
  proc.eventually(function()
    return stage.db:value "SELECT count(*) FROM emails" == before + n
  end, 120000, "all welcomed")
  local seconds = (proc.now_ms() - t0) / 1000
  for _, request in ipairs(requests) do
    assert(request.reply.status == 200, request.reply.raw)
  end
  return n / seconds
end

return _M
