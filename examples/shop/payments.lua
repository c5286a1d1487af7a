local rbf = require "rbf"
local z = rbf.z
local app = require "app"

local ATTEMPTS = 4

local function cancel(r, reason)
  r.scheduler:enqueue("stock.stock.release", { input = { order = r.input.order, reason = reason } })
  return { paid = false, reason = reason }
end

-- The provider sees the same Idempotency-Key however often one attempt runs (rbf.http sends it), and
-- the order's id as its own: it charges once.
local charge = app:mutation("payments", {
  path = "payments.charge",
  input = z.object { order = z.string():uuid() },
  handler = function(r)
    local order = r.db:one("SELECT card, total, status FROM orders WHERE id = $1", r.input.order)
    if order.status ~= "reserved" then return { paid = order.status == "paid" } end
    local ok, answer = pcall(rbf.http.request, {
      method = "POST",
      url = r.ctx.payments .. "/charges/" .. r.input.order,
      json = { card = order.card, amount = order.total },
      timeout = { seconds = 5 },
    })
    if ok and answer.status == 200 then
      r.db:update("orders", { status = "paid" }, { where = { id = r.input.order } })
      return { paid = true }
    elseif ok and answer.status == 402 then
      return cancel(r, "the card was declined")
    elseif r.msg.attempt < ATTEMPTS then
      rbf.retry { message = "the payment provider is away: " .. (ok and answer.status or answer.message) }
    end
    -- nobody knows whether it charged: take it back before the goods go back on the shelf
    r.scheduler:enqueue("payments.payments.refund", { input = { order = r.input.order } })
    return { paid = false, reason = "the payment provider is away" }
  end,
})

-- Compensation: the provider forgets the charge, if there was one. Tried until it says so or the
-- attempts are used up, and then somebody has to look: a dead letter.
local refund = app:mutation("payments", {
  path = "payments.refund",
  input = z.object { order = z.string():uuid() },
  handler = function(r)
    local answer = rbf.http.request {
      method = "DELETE",
      url = r.ctx.payments .. "/charges/" .. r.input.order,
      timeout = { seconds = 5 },
    }
    if answer.status ~= 200 and answer.status ~= 404 then
      rbf.retry { message = "the payment provider answered " .. answer.status }
    end
    return cancel(r, "the payment provider was away")
  end,
})

return { charge = charge, refund = refund }
