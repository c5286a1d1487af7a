-- The command line of tests/bench/run.
local workloads = require "tests.bench.workloads"

local GROUPS = {
  on = { { name = "on" } },
  off = { { name = "off", number = 1 } },
  both = { { name = "off", number = 1 }, { name = "on" } },
}

local function usage(text)
  io.stderr:write("tests/bench/run: ", text, "\n")
  os.exit(2)
end

local function groups_of(word)
  local number = tonumber(word)
  return GROUPS[word] or number and { { name = word, number = number } } or usage "--group on, off, both or a number"
end

local function chosen(only)
  local list, known = {}, {}
  for _, work in ipairs(workloads) do
    local base = work.name:match "^%a+"
    known[work.name], known[base] = true, true
    if not only or only[work.name] or only[base] then list[#list + 1] = work end
  end
  for name in pairs(only or {}) do
    if not known[name] and name ~= "peers" then usage("no workload '" .. name .. "'") end
  end
  return list
end

local FLAGS = {
  ["--no-latency"] = "latency", ["--no-ceiling"] = "ceiling", ["--no-peers"] = "peers",
}
local NUMBERS = { ["--runs"] = "runs", ["--seconds"] = "seconds", ["--workers"] = "workers", ["--scale"] = "scale" }

--- The words of the command line → { seconds, runs, workloads, groups, … }
return function(words)
  local o = { latency = true, ceiling = true, peers = true, runs = 1, workers = 1, groups = GROUPS.on,
    clients = { 8, 16, 32, 64 }, out = "build/bench" }
  local only
  local i = 1
  while words[i] do
    local word, value = words[i], words[i + 1]
    if FLAGS[word] then
      o[FLAGS[word]] = false
    elseif word == "--quick" then
      o.quick = true
    else
      i = i + 1
      if not value then usage("what is " .. word .. "?") end
      if NUMBERS[word] then
        o[NUMBERS[word]] = tonumber(value) or usage(word .. " takes a number")
      elseif word == "--only" then
        only = {}
        for name in value:gmatch "[^,]+" do only[name] = true end
      elseif word == "--clients" then
        o.clients = {}
        for n in value:gmatch "%d+" do o.clients[#o.clients + 1] = tonumber(n) end
      elseif word == "--group" then
        o.groups = groups_of(value)
      elseif word == "--out" then
        o.out = value
      else
        usage("what is " .. word .. "?")
      end
    end
    i = i + 1
  end
  o.seconds = o.seconds or o.quick and .5 or 5
  o.scale = o.scale or o.quick and .05 or 1
  o.ceiling_seconds = math.max(1, math.floor(o.seconds))
  o.peer_concurrencies = o.quick and { 16 } or { 1, 4, 16, 64 }
  o.workloads = chosen(only)
  function o.wants(ceiling)
    for _, work in ipairs(o.workloads) do
      if work.ceiling == ceiling then return true end
    end
  end
  if only and not only.peers then o.peers = false end
  return o
end
