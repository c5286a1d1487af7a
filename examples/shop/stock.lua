local rbf = require "rbf"
local z = rbf.z
local app = require "app"

local step = z.object { order = z.string():uuid() }

local function lines_of(r)
  return r.db:query("SELECT sku, quantity FROM order_lines WHERE order_id = $1 ORDER BY sku", r.input.order)
end

local function set(r, status, reason)
  r.db:update("orders", { status = status, reason = reason }, { where = { id = r.input.order } })
end

-- Takes every line off the stock or none: the CHECK on stock is what refuses, and the savepoint is
-- what gives back the lines before it.
local reserve = app:mutation("stock", {
  path = "stock.reserve",
  input = step,
  handler = function(r)
    local ok = r.db:savepoint(function()
      for _, line in ipairs(lines_of(r)) do
        r.db:exec("UPDATE products SET stock = stock - $2 WHERE sku = $1", line.sku, line.quantity)
      end
    end)
    if not ok then
      set(r, "cancelled", "out of stock")
      return { reserved = false }
    end
    set(r, "reserved")
    r.scheduler:enqueue("payments.payments.charge", { input = { order = r.input.order } })
    return { reserved = true }
  end,
})

-- Compensation: what reserve took comes back, once, whatever was delivered twice.
local release = app:mutation("stock", {
  path = "stock.release",
  input = step:extend { reason = z.string() },
  handler = function(r)
    local order = r.db:one("SELECT status FROM orders WHERE id = $1", r.input.order)
    if order.status ~= "reserved" then return { released = false } end
    for _, line in ipairs(lines_of(r)) do
      r.db:exec("UPDATE products SET stock = stock + $2 WHERE sku = $1", line.sku, line.quantity)
    end
    set(r, "cancelled", r.input.reason)
    return { released = true }
  end,
})

return { reserve = reserve, release = release }
