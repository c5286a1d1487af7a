-- Others' frameworks on the bench's create: npm installs them beside the build; where node or npm cannot
-- be had, that is said and the run goes on.
local lfs = require "lfs"
local proc = require "spec.support.proc"
local Rig = require "tests.bench.rig"

local _M = {}

local HERE = "tests/bench/peers/"
local WORK = { subject = "create", data = '{"email":"%u@example.com","name":"Bench"}' }

-- The folder they are installed in; nil and why not.
local function installed(folder)
  for _, tool in ipairs { "node", "npm" } do
    if os.execute("command -v " .. tool .. " >/dev/null 2>&1") ~= 0 then return nil, tool .. " is not installed" end
  end
  lfs.mkdir(folder)
  local lock = proc.read_file(HERE .. "package-lock.json")
  for _, name in ipairs { "package.json", "package-lock.json", "framework.mjs", "graphile.mjs" } do
    proc.write_file(folder .. "/" .. name, proc.read_file(HERE .. name))
  end
  if proc.read_file(folder .. "/installed.json") ~= lock then
    local code, _, err = proc.run {
      "npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error", cwd = folder, timeout = 300000,
    }
    if code ~= 0 then return nil, "npm could not install them: " .. err end
    proc.write_file(folder .. "/installed.json", lock)
  end
  return folder
end

local function start(stage, folder, script, env)
  local user, name, address = stage.db_url:match "://([^@:/]+)@/([^/?]+)%?host=([^&]+)$"
  local keep = stage.dir .. "/keep"
  os.execute("test -p " .. keep .. " || mkfifo " .. keep)
  local words = {
    "/bin/sh", "-c", ("exec node %s 3<>%s <&3"):format(script, keep), cwd = folder, out = stage.dir .. "/peer.log",
    err = stage.dir .. "/peer.log",
    env = {
      NATS = stage.nats.url, PREFIX = stage.prefix, PGHOST = address:gsub("%%2F", "/"), PGPORT = "5432", PGUSER = user,
      PGDATABASE = name,
    },
  }
  for key, value in pairs(env) do words.env[key] = tostring(value) end
  return proc.spawn(words)
end

local function streams_of(stage)
  return "peer" .. stage.prefix:gsub("%.", "")
end

-- Streams and consumers, which the package does not make.
local function prepare_framework(stage, concurrency)
  local names = streams_of(stage)
  for _, queue in ipairs { "jobs", "events" } do
    local stream = names .. queue
    local made = stage.client:js("STREAM.CREATE." .. stream, {
      name = stream, subjects = { stage.prefix .. queue .. ".>" }, retention = "workqueue", storage = "file",
    })
    assert(made and not made.error, "stream " .. stream)
    made = stage.client:js("CONSUMER.DURABLE.CREATE." .. stream .. "." .. stream, {
      stream_name = stream, config = {
        durable_name = stream, ack_policy = "explicit", deliver_policy = "all", max_ack_pending = concurrency,
      },
    })
    assert(made and not made.error, "consumer " .. stream)
  end
end

local function fill_framework(stage, count)
  Rig.load(stage, WORK, { mode = "fill", count = count })
end

local function prepare_graphile(stage, _, folder)
  local init = start(stage, folder, "graphile.mjs", { MODE = "init" })
  assert(init:wait(30000) == 0, proc.read_file(stage.dir .. "/peer.log"))
end

local function fill_graphile(stage, count)
  stage.db:query([[SELECT count(graphile_worker.add_job('create', json_build_object('email', gen_random_uuid() || '@example.com',
    'name', 'Bench'))) FROM generate_series(1, $1::int)]], count)
end

-- Everything waits before it goes on, as for our host; done when the last note is there.
local function round(rig, peer, stage, process, count)
  local function notes() return stage.db:value "SELECT count(*) FROM notes" end
  local want = notes() + count
  process:kill "STOP"
  local ok, err = pcall(peer.fill, stage, count)
  process:kill "CONT"
  assert(ok, err)
  local began = proc.now_ms()
  local cost = rig:window(process.pid, function()
    proc.eventually(function()
      assert(process:alive(), proc.read_file(stage.dir .. "/peer.log"))
      return notes() >= want
    end, 300000, "all notes of " .. peer.name)
  end)
  local rate = count / ((proc.now_ms() - began) / 1000)
  for _, name in ipairs { "host", "postgres", "nats" } do cost[name] = cost[name] / count * 1e6 end
  return rate, cost
end

local function measure(rig, peer, folder, concurrency, seconds)
  local stage = rig:stage()
  peer.prepare(stage, concurrency, folder)
  Rig.calm(stage)
  local process = start(stage, folder, peer.script, {
    CONCURRENCY = concurrency, MODE = peer.mode or "", STREAMS = streams_of(stage),
  })
  local rate, cost
  local ok, err = pcall(function()
    peer.fill(stage, 1)
    proc.eventually(function() return stage.db:value "SELECT count(*) FROM notes" > 0 end, 60000, peer.name .. " to begin")
    rate = round(rig, peer, stage, process, peer.warm)
    rate, cost = round(rig, peer, stage, process, math.ceil(rate * seconds))
  end)
  process:finish "KILL"
  stage:close()
  assert(ok, err)
  return { concurrency = concurrency, rate = rate, cpu_us = cost, conflicts = cost.conflicts }
end

-- warm: messages before anything is measured
local PEERS = {
  { name = "TypeScript package 0.0.10", script = "framework.mjs", prepare = prepare_framework, fill = fill_framework, warm = 20 },
  { name = "graphile-worker 0.17", script = "graphile.mjs", prepare = prepare_graphile, fill = fill_graphile, warm = 300 },
  {
    name = "graphile-worker 0.17, batched", script = "graphile.mjs", mode = "batched", prepare = prepare_graphile,
    fill = fill_graphile, warm = 300,
  },
}

--- A list of {name, rate, concurrency (its best), all = {…}}; nil and why they cannot run. `known`: an
--- earlier run's list, whose concurrencies are used again.
function _M.measure(rig, folder, options, known, progress)
  local where, why = installed(folder)
  if not where then return nil, why end
  local list = {}
  for i, peer in ipairs(PEERS) do
    local best = { rate = -1 }
    local all = {}
    for _, concurrency in ipairs(known and { known[i].concurrency } or options.peer_concurrencies) do
      progress(("%s, %d at once"):format(peer.name, concurrency))
      local one = measure(rig, peer, where, concurrency, options.seconds)
      all[#all + 1] = { concurrency = concurrency, rate = one.rate }
      if one.rate > best.rate then best = one end
    end
    best.name, best.all = peer.name, all
    list[i] = best
  end
  return list
end

return _M
