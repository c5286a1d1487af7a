local rbf = require "rbf"
local z = rbf.z
local app = rbf.defineBackend { queues = { jobs = {}, events = {} } }

-- Gives back what it got.
local echo = app:mutation("jobs", {
  path = "echo",
  input = z.any(),
  handler = function(r)
    return r.input
  end,
})

-- The same, by way of a jsonb column.
local column = app:mutation("jobs", {
  path = "column",
  input = z.any(),
  handler = function(r)
    return r.db:one("SELECT $1::jsonb AS value", rbf.json.encode(r.input)).value
  end,
})

-- The same, by way of the outbox and another task: it answers whoever asked the first.
local store = app:mutation("events", {
  path = "store",
  input = z.any(),
  handler = function(r)
    r.db:exec("INSERT INTO stored (value) VALUES ($1)", rbf.json.encode(r.input))
  end,
})
local forward = app:mutation("jobs", {
  path = "forward",
  input = z.any(),
  handler = function(r)
    r.scheduler:enqueue(store, { input = r.input })
  end,
})

local typed = app:query("jobs", {
  path = "typed",
  handler = function(r)
    return r.db:one([[
      SELECT 7::int4 AS i, 9007199254740992::int8 AS big, 1.50::numeric AS num, true AS yes,
             ARRAY[1, 2]::int[] AS list, ARRAY[]::text[] AS none, NULL::text AS absent,
             '{"a": []}'::jsonb AS doc, 'é'::text AS text, 0.5::float8 AS half]])
  end,
})

local tooBig = app:query("jobs", {
  path = "tooBig",
  handler = function(r)
    return r.db:one("SELECT 9007199254740993::int8 AS huge")
  end,
})

-- Three savepoints: a duplicate key, an error of Lua, one that is kept.
local savepoints = app:mutation("jobs", {
  path = "savepoints",
  handler = function(r)
    r.db:insert("items", { name = "outer" })
    local dup, dup_err = r.db:savepoint(function()
      r.db:insert("items", { name = "lost" })
      r.scheduler:enqueue(store, { input = "dropped" })
      r.db:insert("items", { name = "outer" })
    end)
    local own, own_err = r.db:savepoint(function()
      r.db:insert("items", { name = "lost too" })
      error "changed my mind"
    end)
    local kept, a, b = r.db:savepoint(function()
      r.db:insert("items", { name = "inner" })
      r.scheduler:enqueue(store, { input = "kept" })
      return 1, "two"
    end)
    return {
      dup = dup, sqlstate = dup_err.sqlstate, own = own, own_err = tostring(own_err),
      kept = kept, a = a, b = b,
    }
  end,
})

-- rbf.fail passes through a savepoint and through pcall.
local failInside = app:mutation("jobs", {
  path = "failInside",
  handler = function(r)
    r.db:savepoint(function()
      pcall(function()
        rbf.fail { status = 409, code = "INSIDE", message = "out of the savepoint" }
      end)
    end)
    return { swallowed = true }
  end,
})

-- A task whose input is n bytes; a reply of n bytes.
local big = app:mutation("jobs", {
  path = "big",
  input = z.object { enqueue = z.int():default(0), reply = z.int():default(0) },
  handler = function(r)
    r.db:insert("items", { name = "big " .. r.msg.requestId })
    if r.input.enqueue > 0 then
      r.scheduler:enqueue(store, { input = ("x"):rep(r.input.enqueue) })
    end
    return { text = ("y"):rep(r.input.reply) }
  end,
})

return {
  echo = echo, column = column, store = store, forward = forward, typed = typed, tooBig = tooBig,
  savepoints = savepoints, failInside = failInside, big = big,
}
