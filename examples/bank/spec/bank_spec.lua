-- Money is conserved: under contention, with requests sent twice, and workers killed.
local host = require "spec.support.host"
local cjson = require "cjson"

local ACCOUNTS, DEPOSIT = 10, 10000

describe("the bank", function()
  local stage, running

  before_each(function()
    stage = host.stage { app = "examples/bank" }
    local text = stage:read "app.lua"
    stage:write("app.lua", (text:gsub("timeout = { seconds = 10 }, ackWait = { seconds = 12 }",
      "timeout = { seconds = 2 }, ackWait = { seconds = 3 }"):gsub("events = {}",
      "events = { ackWait = { seconds = 3 } }")))
    running = stage:start()
  end)

  after_each(function()
    host.close(stage)
  end)

  local function open_accounts()
    for i = 1, ACCOUNTS do
      local reply = stage:call("jobs.accounts.open", { owner = "owner " .. i, deposit = DEPOSIT })
      assert.equal(200, reply.status, reply.raw)
    end
  end

  local function transfer(from, to, amount)
    return stage:call("jobs.transfers.create", { from = from, to = to, amount = amount })
  end

  it("refuses what cannot be", function()
    open_accounts()
    assert.equal(200, transfer(1, 2, DEPOSIT).status)
    local poor = transfer(1, 2, 1)
    assert.equal("INSUFFICIENT_FUNDS", poor.body.code)
    assert.equal(409, poor.status)
    assert.equal("NO_SUCH_ACCOUNT", transfer(1, 999, 1).body.code)
    assert.equal(400, transfer(1, 2, 0).status)
    local same = transfer(3, 3, 5)
    assert.equal("from and to are the same account", same.body.issues[1].message)
    stage:settle { "jobs", "events" }
    assert.equal("You received 100.00.", stage.db:value "SELECT text FROM notices")
  end)

  it("conserves the money of thousands of transfers among ten accounts", function()
    math.randomseed(20)
    local n, sent = host.scaled(2000, 200), {}
    open_accounts()
    local function request(i)
      local t = sent[i] or {
        from = math.random(ACCOUNTS), amount = math.random(500), id = "transfer-" .. i,
      }
      t.to = t.to or (t.from + math.random(ACCOUNTS - 1) - 1) % ACCOUNTS + 1
      sent[i] = t
      return cjson.encode { from = t.from, to = t.to, amount = t.amount }, t.id
    end
    local requests = stage:start_many("jobs.transfers.create", n, request)
    local twice = stage:start_many("jobs.transfers.create", math.floor(n / 4), request)
    for share = 1, 3 do
      stage.client:wait_all({ requests[math.floor(n * share / 4)] }, 60000)
      running:kill_worker()
    end
    assert.equal(0, stage.client:wait_all(requests, 120000))
    assert.equal(0, stage.client:wait_all(twice, 120000))
    stage:settle { "jobs", "events" }

    local done = 0
    for i, one in ipairs(requests) do
      local reply = one.reply
      assert.truthy(reply.status == 200 or reply.body.code == "INSUFFICIENT_FUNDS", reply.raw)
      if reply.status == 200 then done = done + 1 end
      if twice[i] then assert.same(reply.body, twice[i].reply.body) end
    end
    assert.is_true(done > n / 2)
    local function value(sql) return tonumber(stage.db:value(sql)) end
    assert.equal(ACCOUNTS * DEPOSIT, value "SELECT sum(balance) FROM accounts")
    assert.equal(done, value "SELECT count(*) FROM transfers")
    assert.equal(done, value "SELECT count(DISTINCT request_id) FROM transfers")
    assert.equal(done, value "SELECT count(DISTINCT transfer_id) FROM notices")
    assert.equal(done, value "SELECT count(*) FROM notices")
    assert.equal(0, value([[SELECT count(*) FROM accounts a WHERE balance <> ]] .. DEPOSIT
      .. [[ + (SELECT COALESCE(sum(amount), 0) FROM entries WHERE account_id = a.id)]]))
    assert.equal(0, stage:count "rbf_dead_letters")
  end)
end)
