local rbf = require "rbf"
local z = rbf.z
local app = require "app"

--- What the order costs; fails for products that do not exist.
local function total_of(r, lines)
  local total = 0
  for i, line in ipairs(lines) do
    local product = r.db:one("SELECT price FROM products WHERE sku = $1", line.sku)
    if not product then
      rbf.fail { status = 404, code = "NO_SUCH_PRODUCT", message = ("line %d: no product %s"):format(i, line.sku) }
    end
    total = total + product.price * line.quantity
  end
  return total
end

local createOrder = app:mutation("orders", {
  path = "orders.create",
  input = z.object {
    card = z.string():min(4),
    lines = z.array(z.object { sku = z.string(), quantity = z.int():positive() }):min(1),
  },
  output = z.object { id = z.string(), total = z.int(), status = z.string() },
  example = { card = "4242", lines = { { sku = "tea", quantity = 2 } } },
  handler = function(r)
    local order = r.db:insert("orders", {
      card = r.input.card, total = total_of(r, r.input.lines), status = "new",
    })
    for _, line in ipairs(r.input.lines) do
      r.db:insert("order_lines", { order_id = order.id, sku = line.sku, quantity = line.quantity })
    end
    -- the next step by its path: the files of the saga need not know each other
    r.scheduler:enqueue("stock.stock.reserve", { input = { order = order.id } })
    return order
  end,
})

local getOrder = app:query("orders", {
  path = "orders.get.$id",
  handler = function(r)
    local order = r.db:findFirst("orders", { where = { id = r.params.id } })
    if not order then rbf.fail { status = 404, code = "NO_SUCH_ORDER", message = "no order " .. r.params.id } end
    order.lines = r.db:query("SELECT sku, quantity FROM order_lines WHERE order_id = $1", r.params.id)
    return order
  end,
})

return { createOrder = createOrder, getOrder = getOrder }
