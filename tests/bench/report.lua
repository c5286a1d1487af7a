-- What came out, as a table on the terminal, and bench.json.
local cjson = require "cjson"
local lfs = require "lfs"
local proc = require "spec.support.proc"
local plot = require "tests.bench.plot"

local _M = {}

--- On stderr, so that stdout is the result alone.
function _M.progress(run, what)
  io.stderr:write(("run %d: %s\n"):format(run, what))
end

local function command(words)
  local pipe = io.popen(words .. " 2>/dev/null")
  local text = pipe:read "*l"
  pipe:close()
  return text
end

local function machine()
  return {
    cores = tonumber(command "nproc"), kernel = command "uname -r", postgres = command "postgres --version || pg_config --version",
    nats = command "nats-server --version || /usr/sbin/nats-server --version", commit = command "git rev-parse --short HEAD",
    cpu = command "sed -n 's/^model name[^:]*: //p' /proc/cpuinfo",
  }
end

-- Shares of the ceilings, and of workloads on empty tables; `off` beside `on`.
local function add_ratios(result, options)
  for _, work in ipairs(options.workloads) do
    for _, group in ipairs(options.groups) do
      local r = result.workloads[work.name .. "/" .. group.name]
      local top = result.ceiling[work.ceiling]
      local off = result.workloads[work.name .. "/off"]
      local empty = work.beside and result.workloads[work.beside .. "/" .. group.name]
      r.ratio = {
        ceiling = top and r.rate / top.rate, ceiling_plain = top and r.rate / top.plain.rate,
        beside = top and r.beside.rate / top.rate, off = off and off ~= r and r.rate / off.rate or nil,
        empty = empty and r.rate / empty.rate or nil,
      }
    end
  end
end

local function cell(format, value)
  return value and format:format(value) or "-"
end

-- CPU is of a message with its follow-ups; "each" the host's for one mutation.
local HEAD = { "workload", "group", "/s", "x ceiling", "x plain", "beside/s", "x ceiling", "x off", "x empty",
  "CPU us host", "each", "postgres", "nats", "40001", "flights", "RSS MB" }

local function row(r)
  local us, q = (r.stored or r.beside).cpu_us, r.ratio
  return {
    r.name, r.group, cell("%.0f", r.rate), cell("%.2f", q.ceiling), cell("%.2f", q.ceiling_plain), cell("%.0f", r.beside.rate),
    cell("%.2f", q.beside), cell("%.2f", q.off), cell("%.2f", q.empty),
    cell("%.0f", us.host), cell("%.0f", us.host / (r.results or 1)), cell("%.0f", us.postgres),
    cell("%.0f", us.nats), cell("%.3f", r.stored and r.stored.conflicts_each), cell("%.2f", r.flights), cell("%.0f", r.peak_mb),
  }
end

local function print_table(rows)
  local widths = {}
  for _, line in ipairs(rows) do
    for i, text in ipairs(line) do widths[i] = math.max(widths[i] or 0, #text) end
  end
  for _, line in ipairs(rows) do
    local words = {}
    for i, text in ipairs(line) do
      local pad = (" "):rep(widths[i] - #text)
      words[i] = i <= 2 and text .. pad or pad .. text
    end
    print((table.concat(words, "  "):gsub("%s+$", "")))
  end
end

local function each(result, options, fn)
  for _, work in ipairs(options.workloads) do
    for _, group in ipairs(options.groups) do fn(result.workloads[work.name .. "/" .. group.name]) end
  end
end

local function print_latencies(result, options)
  local rows = { { "latency, ms", "group", "at /s", "of peak", "p50", "p95", "p99", "p99.9", "max" } }
  local function add(r, rate, share, ms)
    rows[#rows + 1] = { r.name, r.group, rate, share }
    for _, name in ipairs { "p50", "p95", "p99", "p99.9", "max" } do table.insert(rows[#rows], ("%.2f"):format(ms[name])) end
  end
  each(result, options, function(r)
    for _, o in ipairs(r.open or {}) do add(r, ("%.0f"):format(o.rate), ("%.0f %%"):format(o.share * 100), o.ms) end
    if r.idle then add(r, "one by one", "idle", r.idle) end
    for _, c in ipairs(r.clients or {}) do add(r, ("%.0f"):format(c.rate), c.clients .. " clients", c.ms) end
    if r.bare then
      add(r, ("%.0f"):format(r.bare.rate), "bare libpq", r.bare.ms)
      add(r, ("%.0f"):format(r.nats_alone.rate), "NATS alone", r.nats_alone.ms)
    end
  end)
  if #rows > 1 then
    print ""
    print_table(rows)
  end
end

local function print_all(result, options)
  for name, top in pairs(result.ceiling) do
    print(("ceiling %s: pgbench %.0f/s plain (%d clients), %.0f/s pipelined (%d clients)"):format(name, top.plain.rate,
      top.plain.clients, top.pipelined.rate, top.pipelined.clients))
  end
  local rows = { HEAD }
  each(result, options, function(r) rows[#rows + 1] = row(r) end)
  print_table(rows)
  print_latencies(result, options)
  each(result, options, function(r)
    if r.ratio_p50 then
      print(("get: p50 of one client %.2f x the bare loop, %.2f x that and the way through NATS"):format(r.ratio_p50,
        r.clients[1].ms.p50 / (r.bare.ms.p50 + r.nats_alone.ms.p50)))
    end
  end)
end

local function print_peers(result, options)
  if result.no_peers then print("\npeers: not run, " .. result.no_peers) end
  if not result.peers then return end
  local rows = { { "create by", "at once", "/s", "we: x", "CPU us process", "postgres", "nats", "40001" } }
  local ours = result.workloads["create/" .. options.groups[#options.groups].name]
  for _, peer in ipairs(result.peers) do
    peer.ratio = ours and peer.rate > 0 and ours.rate / peer.rate or nil
    rows[#rows + 1] = {
      peer.name, tostring(peer.concurrency), ("%.0f"):format(peer.rate), cell("%.0f", peer.ratio), ("%.0f"):format(peer.cpu_us.host),
      ("%.0f"):format(peer.cpu_us.postgres), ("%.0f"):format(peer.cpu_us.nats), ("%d"):format(peer.conflicts.serialization),
    }
  end
  print ""
  print_table(rows)
end

--- Makes the folder results go to, and those above it.
function _M.folder(path)
  local at = path:sub(1, 1) == "/" and "" or "."
  for part in path:gmatch "[^/]+" do
    at = at .. "/" .. part
    lfs.mkdir(at)
  end
end

--- Prints, and writes FOLDER/bench.json.
function _M.finish(result, options)
  add_ratios(result, options)
  result.machine = machine()
  result.options = { runs = options.runs, seconds = options.seconds, scale = options.scale, workers = options.workers }
  print_all(result, options)
  print_peers(result, options)
  proc.write_file(options.out .. "/bench.json", cjson.encode(result) .. "\n")
  plot.write(result, options)
  print(("\nwritten: %s/bench.json, bench.svg"):format(options.out))
end

return _M
