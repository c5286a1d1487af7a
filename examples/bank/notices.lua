local rbf = require "rbf"
local z = rbf.z
local app = require "app"

-- Stands for a message to the receiver's phone: one row for each.
local sendNotice = app:mutation("events", {
  path = "notices.send",
  input = z.object { transfer = z.string(), account = z.int(), amount = z.int() },
  handler = function(r)
    r.db:insert("notices", {
      transfer_id = r.input.transfer,
      account_id = r.input.account,
      text = ("You received %d.%02d."):format(r.input.amount / 100, r.input.amount % 100),
    })
  end,
})

return { sendNotice = sendNotice }
