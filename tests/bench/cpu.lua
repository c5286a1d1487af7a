-- CPU time and memory of process trees, from /proc. Time is that of all processes below and with a
-- pid, with those that ended and were waited for; in steps of 10 ms, so measure for seconds.
local lfs = require "lfs"

local _M = {}

local TICK = 0.01 -- USER_HZ, fixed in Linux's interface

local function read(path)
  local f = io.open(path)
  local text = f and f:read "*a"
  if f then f:close() end
  return text
end

-- parent, seconds of its own and of children that ended
local function stat(pid)
  local text = read("/proc/" .. pid .. "/stat")
  if not text then return end
  local parent, times = text:match ".*%) %a (%d+) %S+ %S+ %S+ %S+ %S+ %S+ %S+ %S+ %S+ (%d+ %d+ %d+ %d+)"
  local seconds = 0
  for ticks in (times or ""):gmatch "%d+" do seconds = seconds + ticks * TICK end
  return tonumber(parent), seconds
end

--- { name = pid, … } → { name = seconds of the tree, … }
function _M.seconds(roots)
  local parents, own = {}, {}
  for name in lfs.dir "/proc" do
    local pid = tonumber(name)
    if pid then parents[pid], own[pid] = stat(pid) end
  end
  local sums, name_of = {}, {}
  for name, pid in pairs(roots) do sums[name], name_of[pid] = 0, name end
  for pid, seconds in pairs(own) do
    local up = pid
    while up and not name_of[up] do up = parents[up] end
    if up then sums[name_of[up]] = sums[name_of[up]] + seconds end
  end
  return sums
end

--- What a process has held at most since it began, MB.
function _M.peak_mb(pid)
  local kb = (read("/proc/" .. pid .. "/status") or ""):match "VmHWM:%s*(%d+)"
  return tonumber(kb or 0) / 1024
end

--- What it holds now, MB.
function _M.now_mb(pid)
  local kb = (read("/proc/" .. pid .. "/status") or ""):match "VmRSS:%s*(%d+)"
  return tonumber(kb or 0) / 1024
end

return _M
