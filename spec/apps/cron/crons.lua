local app = require "app"

app.app:cron("* * * * * *", app.fire, { name = "tick", params = { who = "ann" }, input = { label = "first" } })
