-- Operations that fail, each under a policy of its own.
local rbf = require "rbf"

local app = rbf.defineBackend {
  queues = { jobs = { retry = { maxAttempts = 3, backoff = "fixed", initial = { ms = 20 } } } },
}

local function failing(path, retry)
  return app:mutation("jobs", {
    path = path,
    retry = retry,
    input = rbf.z.any(),
    handler = function(r)
      rbf.log:info("runs", { path = path, attempt = r.msg.attempt })
      error "fails"
    end,
  })
end

local slow = failing("slow", { initial = { minutes = 5 } })
local queue = failing("queue")
local list = failing("list", { maxAttempts = 4, backoff = { { ms = 10 }, { ms = 300 } } })

local once = app:mutation("jobs", {
  path = "once",
  retry = { initial = { minutes = 5 } },
  handler = function(r)
    rbf.log:info("runs", { path = "once", attempt = r.msg.attempt })
    if r.msg.attempt == 1 then
      r.scheduler:setRetryDelay { ms = 10 }
      error "fails with a delay of its own"
    elseif r.msg.attempt == 2 then
      rbf.retry { after = { ms = 10 } }
    end
    error "fails for good"
  end,
})

local fine = app:mutation("jobs", {
  path = "fine",
  handler = function(r)
    r.db:exec("INSERT INTO done VALUES ('fine')")
  end,
})

return { slow = slow, queue = queue, list = list, once = once, fine = fine }
