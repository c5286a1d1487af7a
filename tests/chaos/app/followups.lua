-- What transfers lead to: a chain that goes from one queue to the other and back.
local rbf = require "rbf"
local z = rbf.z
local app, note = require "app", require "note"

local input = z.object { source = z.string(), hops = z.int() }

local receipt = app:mutation("jobs", {
  path = "followups.receipt",
  input = input,
  handler = function(r)
    note.effect(r, "receipt")
    if r.input.hops > 0 then
      local id = r.scheduler:enqueue("events.followups.notice", { input = { source = r.input.source, hops = r.input.hops - 1 } })
      note.spawned(r, id)
    end
  end,
})

local notice = app:mutation("events", {
  path = "followups.notice",
  input = input,
  handler = function(r)
    note.effect(r, "notice")
    if r.input.hops > 0 then
      note.spawned(r, r.scheduler:enqueue(receipt, { input = { source = r.input.source, hops = r.input.hops - 1 } }))
    end
  end,
})

return { receipt = receipt, notice = notice }
