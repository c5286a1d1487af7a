-- The saga, to each of its ends, against an HTTP server in the provider's place.
local host = require "spec.support.host"
local httpd = require "spec.support.httpd"
local proc = require "spec.support.proc"
local cjson = require "cjson"

local queues = { "orders", "stock", "payments" }

describe("the shop", function()
  local stage, running, provider

  lazy_setup(function()
    provider = httpd.start()
  end)

  lazy_teardown(function()
    provider:stop()
  end)

  --- answer: the provider's, to every request.
  local function start(answer)
    stage = host.stage { app = "examples/shop", args = { "--retry-initial", "10ms", "--max-attempts", "6" } }
    stage:write("settings.lua", ("return { payments = %q }"):format(provider.url .. answer))
    stage:write("app.lua", (stage:read("app.lua"):gsub("= {},", "= { ackWait = { seconds = 3 } },")))
    running = stage:start()
  end

  after_each(function()
    host.close(stage)
  end)

  local function order(sku, quantity)
    local reply = stage:call("orders.orders.create", {
      card = "4242", lines = { { sku = sku, quantity = quantity }, { sku = "tea", quantity = 1 } },
    })
    assert.equal(200, reply.status, reply.raw)
    return reply.body
  end

  local function get(id)
    return stage:call("orders.orders.get." .. id).body
  end

  local function stock(sku)
    return stage.db:value(("SELECT stock FROM products WHERE sku = '%s'"):format(sku))
  end

  it("is paid", function()
    start "/status/200"
    local created = order("cup", 2)
    assert.same({ 2850, "new" }, { created.total, created.status })
    stage:settle(queues)
    local paid = get(created.id)
    assert.equal("paid", paid.status)
    assert.equal(2, #paid.lines)
    assert.equal(10, stock "cup")
    local asked = provider:requests("/status/200/charges/" .. created.id)
    assert.equal(1, #asked)
    assert.equal("POST", asked[1].method)
    assert.matches("/1$", asked[1].headers["idempotency-key"])
  end)

  it("gives the goods back when the card is declined", function()
    start "/status/402"
    local created = order("cup", 2)
    stage:settle(queues)
    assert.same({ "cancelled", "the card was declined" }, { get(created.id).status, get(created.id).reason })
    assert.same({ 12, 100 }, { stock "cup", stock "tea" })
  end)

  it("takes the charge back when nobody knows whether there is one", function()
    start "/status/404"
    local created = order("cup", 2)
    stage:settle(queues)
    assert.equal("the payment provider was away", get(created.id).reason)
    assert.equal(12, stock "cup")
    local asked = provider:requests("/status/404/charges/" .. created.id)
    local keys = {}
    for _, request in ipairs(asked) do
      local key = request.method .. " " .. (request.headers["idempotency-key"] or "")
      keys[key] = (keys[key] or 0) + 1
    end
    local counts = {}
    for _, n in pairs(keys) do counts[#counts + 1] = n end
    table.sort(counts)
    assert.same({ 1, 4 }, counts) -- four attempts to charge under one key, one refund
  end)

  it("leaves a dead letter, and the goods reserved, when the provider stays away", function()
    start "/status/500"
    local created = order("cup", 2)
    stage:settle(queues)
    assert.equal("reserved", get(created.id).status)
    assert.equal(1, stage:count "rbf_dead_letters")
    assert.matches("payments%.refund", stage.db:value "SELECT subject FROM rbf_dead_letters")
  end)

  it("sells no more than there is, whoever dies meanwhile", function()
    start "/status/200"
    local n = host.scaled(60, 20)
    local requests = stage:start_many("orders.orders.create", n, function(i)
      return cjson.encode { card = "4242", lines = { { sku = "pot", quantity = 1 } } }, "order-" .. i
    end)
    stage.client:wait_all({ requests[1] }, 30000)
    running:kill_worker()
    assert.equal(0, stage.client:wait_all(requests, 60000))
    stage:settle(queues)
    assert.equal(0, stock "pot")
    local function count(where)
      return stage.db:value("SELECT count(*) FROM orders WHERE " .. where)
    end
    assert.equal(3, count "status = 'paid'")
    assert.equal(n - 3, count "status = 'cancelled' AND reason = 'out of stock'")
    assert.equal(n, stage:count "orders")
    proc.eventually(function()
      return stage:count "rbf_dead_letters" == 0
    end, 1000, "no dead letter")
  end)

  it("refuses what is not for sale", function()
    start "/status/200"
    local reply = stage:call("orders.orders.create", { card = "4242", lines = { { sku = "gold", quantity = 1 } } })
    assert.equal("NO_SUCH_PRODUCT", reply.body.code)
    assert.equal(0, stage:count "orders")
  end)
end)
