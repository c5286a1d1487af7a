local rbf = require "rbf"
local z = rbf.z
local base = require("app").base -- follow-ups have no token; who may publish to `events` is NATS's to say

-- Simulates the mail: one row for each message sent.
local sendWelcome = base:mutation("events", {
  path = "email.sendWelcome",
  input = z.object { userId = z.string() },
  handler = function(r)
    local user = r.db:findFirst("users", { where = { id = r.input.userId } })
    local mail = r.db:insert("mails", {
      user_id = user.id,
      subject = ("%s, %s!"):format(r.ctx.greeting, user.name),
    })
    return { id = mail.id }
  end,
})

return { sendWelcome = sendWelcome }
