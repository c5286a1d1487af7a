local rbf = require "rbf"
local z = rbf.z
local base = require("app").base

-- Simulates the mail: one row for each message sent. Runs after users.create has committed.
local sendWelcome = base:mutation("events", {
  path = "email.sendWelcome",
  input = z.object { userId = z.string() },
  handler = function(r)
    local user = r.db:one("SELECT name, email FROM users WHERE id = $1", r.input.userId)
    if not user then
      rbf.fail { status = 404, code = "USER_NOT_FOUND", message = "No user " .. r.input.userId }
    end
    local mail = r.db:insert("emails", {
      user_id = r.input.userId,
      subject = r.ctx.greeting .. ", " .. user.name .. "!",
    })
    r.ctx.log:info("welcome mail sent", { to = user.email })
    return { id = mail.id }
  end,
})

local listMails = base:query("events", {
  path = "email.list.$userId",
  handler = function(r)
    return r.db:query("SELECT subject FROM emails WHERE user_id = $1", r.params.userId)
  end,
})

return { sendWelcome = sendWelcome, listMails = listMails }
