-- Orders that die until price.lua is mended.
local rbf = require "rbf"
local price = require "price"
local z = rbf.z

local app = rbf.defineBackend { queues = { jobs = {} } }
local ops = {}

ops.mail = app:mutation("jobs", { path = "mail.$to", input = z.object { price = z.number() }, handler = function() end })

ops.place = app:mutation("jobs", {
  path = "place",
  input = z.object { what = z.string(), fails = z.string():optional() },
  handler = function(r)
    r.db:exec("UPDATE orders SET price = 0 WHERE what = $1", r.input.what)
    local order = r.db:insert("orders", { what = r.input.what, price = price(r.input.what), raw = "\255\0" })
    r.db:savepoint(function()
      r.db:insert("audit", { what = "undone" })
      r.db:insert("audit", { id = 1 })
    end)
    r.scheduler:enqueue(ops.mail, { params = { to = "ada" }, input = { price = order.price } })
    r.scheduler:runAfter({ hours = 1 }, ops.mail, { params = { to = "bob" }, input = { price = 0 }, id = "later" })
    r.scheduler:publish("news.orders", { what = order.what })
    r.cache:invalidate("orders:" .. order.what)
    if r.input.fails == "deferred" then r.db:query "WITH s AS (INSERT INTO stamps VALUES ('a'), ('a')) SELECT 1" end
    if r.input.fails == "http" then
      rbf.http.request { method = "POST", url = r.msg.headers["X-Url"], json = { id = order.id }, timeout = { seconds = 2 } }
    end
    return { price = order.price, auth = r.msg.headers.authorization, from = r.msg.headers["X-From"] }
  end,
})

return ops
