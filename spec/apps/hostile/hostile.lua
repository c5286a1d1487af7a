-- Handlers whose messages, errors and statements are unkind to the host.
local rbf = require "rbf"
local z = rbf.z

local app = rbf.defineBackend { queues = { jobs = {}, slow = {} } }

local function mark(r, what)
  r.db:exec("INSERT INTO mark VALUES ($1)", what)
end

local plain = app:mutation("jobs", {
  path = "plain",
  input = z.any(),
  handler = function(r)
    mark(r, "plain")
    return { ok = true }
  end,
})

-- Never ends, and catches what would end it.
local endless = app:mutation("jobs", {
  path = "endless",
  handler = function()
    while true do pcall(function() while true do end end) end
  end,
})

-- Keeps what it should not.
local kept = {}
local leak = app:mutation("jobs", {
  path = "leak",
  handler = function()
    kept[#kept + 1] = ("x"):rep(1e6) .. #kept
    return #kept
  end,
})

-- Keeps much, and then no more.
local hoard = app:mutation("jobs", {
  path = "hoard",
  handler = function()
    for i = #kept + 1, 21 do kept[i] = ("y"):rep(1e6) .. i end
  end,
})

-- A message that is cut within a character.
local cut = app:mutation("jobs", {
  path = "cut",
  handler = function(r)
    r.db:one("SELECT nextval('runs')")
    error "cut \195 here"
  end,
})

local twice = app:mutation("jobs", {
  path = "twice",
  input = z.any(),
  handler = function(r)
    if r.msg.attempt == 1 then rbf.retry { after = { ms = 20 } } end
    mark(r, "twice")
    return r.input
  end,
})

local later = app:mutation("jobs", {
  path = "later",
  handler = function(r)
    r.scheduler:runAfter({ hours = 1 }, plain, { id = "x1", input = 1 })
    return true
  end,
})

local sooner = app:mutation("jobs", {
  path = "sooner",
  handler = function(r)
    r.scheduler:enqueue(plain, { id = "x1", input = 2 })
    return true
  end,
})

local tenant = app:mutation("jobs", {
  path = "tenant",
  handler = function(r)
    r.db:exec("SET LOCAL search_path TO tenant")
    return true
  end,
})

local chain = app:mutation("jobs", {
  path = "chain",
  handler = function(r)
    mark(r, "chain")
    r.db:exec("/* not the first word */ COMMIT AND CHAIN")
    rbf.fail { status = 409, code = "NO", message = "no" }
  end,
})

local suicide = app:query("jobs", {
  path = "suicide",
  handler = function(r)
    rbf.log:info("suicide runs")
    r.db:query("SELECT pg_terminate_backend(pg_backend_pid())")
    return true
  end,
})

local limits = app:query("slow", {
  path = "limits",
  timeout = { seconds = 60 },
  handler = function(r)
    return r.db:one("SELECT current_setting('statement_timeout') AS statement,"
      .. " current_setting('idle_in_transaction_session_timeout') AS idle")
  end,
})

return {
  plain = plain, cut = cut, twice = twice, later = later, sooner = sooner, tenant = tenant,
  chain = chain, suicide = suicide, limits = limits, endless = endless, leak = leak, hoard = hoard,
}
