-- bench.svg: throughput as bars, a panel for each workload's latencies beside it. Plain SVG, written
-- by hand.
local proc = require "spec.support.proc"

local _M = {}

local WIDTH, ROW, LEFT, BAR = 1000, 22, 190, 420
local COLOURS = { on = "#2a6fb0", off = "#9db8d2", ceiling = "#c9a227", peer = "#b5523b" }

local function text(x, y, words, more)
  words = words:gsub("&", "&amp;"):gsub("<", "&lt;")
  return ('<text x="%g" y="%g" %s>%s</text>'):format(x, y, more or "", words)
end

local function rect(x, y, w, h, colour)
  return ('<rect x="%g" y="%g" width="%.1f" height="%g" fill="%s"/>'):format(x, y, math.max(w, 1), h, colour)
end

-- {label, rate, colour, note}, top to bottom
local function bars_of(result, options)
  local bars = {}
  for _, name in ipairs { "create", "noop" } do
    local top = result.ceiling[name]
    if top then bars[#bars + 1] = { "pgbench " .. name, top.rate, COLOURS.ceiling, "ceiling" } end
  end
  for _, work in ipairs(options.workloads) do
    for _, group in ipairs(options.groups) do
      local r = result.workloads[work.name .. "/" .. group.name]
      local ratio = r.ratio and r.ratio.ceiling
      bars[#bars + 1] = {
        ("%s, group %s"):format(r.name, r.group), r.rate, COLOURS[r.group] or COLOURS.on,
        ratio and ("%.2f of the ceiling"):format(ratio) or "",
      }
    end
  end
  for _, peer in ipairs(result.peers or {}) do
    if peer.rate then bars[#bars + 1] = { peer.name .. " create", peer.rate, COLOURS.peer, peer.concurrency .. " at once" } end
  end
  return bars
end

-- p50 to p99 at 30, 50 and 80 % of the peak: a line each, on a logarithmic scale of ms.
local function x_of(ms)
  local low, high = math.log(.05), math.log(1000)
  return LEFT + (math.log(math.min(math.max(ms, .05), 1000)) - low) / (high - low) * (WIDTH - LEFT - 30)
end

local function latencies(result, options, y, out)
  out[#out + 1] = text(10, y, "Latency of an open loop at 30, 50 and 80 % of the peak: p50 to p99, dot at p95 (ms)", 'font-weight="bold"')
  y = y + 14
  local first = y
  for _, work in ipairs(options.workloads) do
    for _, group in ipairs(options.groups) do
      local r = result.workloads[work.name .. "/" .. group.name]
      for i, o in ipairs(r.open or {}) do
        local at = y + 5 * i
        local colour = COLOURS[r.group] or COLOURS.on
        out[#out + 1] = ('<line x1="%.1f" x2="%.1f" y1="%g" y2="%g" stroke="%s" stroke-width="3"/>'):format(x_of(o.ms.p50),
          x_of(o.ms.p99), at, at, colour)
        out[#out + 1] = ('<circle cx="%.1f" cy="%g" r="3" fill="%s"/>'):format(x_of(o.ms.p95), at, colour)
      end
      if r.open then
        out[#out + 1] = text(10, y + 14, ("%s, group %s"):format(r.name, r.group))
        y = y + ROW
      end
    end
  end
  for _, ms in ipairs { .1, 1, 10, 100, 1000 } do
    out[#out + 1] = ('<line x1="%.1f" x2="%.1f" y1="%g" y2="%g" stroke="#ccc"/>'):format(x_of(ms), x_of(ms), first, y)
    out[#out + 1] = text(x_of(ms), y + 14, tostring(ms), 'text-anchor="middle"')
  end
  return y + 30
end

--- Writes FOLDER/bench.svg.
function _M.write(result, options)
  local bars, out, most = bars_of(result, options), {}, 1
  for _, bar in ipairs(bars) do most = math.max(most, bar[2]) end
  local y = 20
  out[#out + 1] = text(10, y, "Throughput, a second", 'font-weight="bold"')
  y = y + 10
  for _, bar in ipairs(bars) do
    local w = bar[2] / most * BAR
    out[#out + 1] = text(10, y + 14, bar[1]) .. rect(LEFT, y + 3, w, ROW - 6, bar[3])
    out[#out + 1] = text(LEFT + w + 6, y + 14, ("%.0f  %s"):format(bar[2], bar[4]))
    y = y + ROW
  end
  y = latencies(result, options, y + 24, out)
  proc.write_file(options.out .. "/bench.svg", ('<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" '):format(WIDTH, y)
    .. 'font-family="sans-serif" font-size="12">\n<rect width="100%" height="100%" fill="white"/>\n'
    .. table.concat(out, "\n") .. "\n</svg>\n")
end

return _M
