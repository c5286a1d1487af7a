--- rbf test --coverage: which lines of the app's functions have run. A line hook sees them (the app's
--- code is interpreted, so none is missed); which lines there are, the bytecode's debug part tells.
local host = require "rbf.host"

local _M = {}

local hits -- chunk name → set of lines

-- ---------------------------------------------------------------- lines that could run

--- Reads LuaJIT's bytecode (format 2): a list of { [line] = true } for each function, the chunk last.
local function functions_of(bytes)
  local at = 5
  local function byte()
    at = at + 1
    return bytes:byte(at - 1)
  end
  local function number() -- ULEB128
    local value, scale = 0, 1
    repeat
      local b = byte()
      value, scale = value + b % 128 * scale, scale * 128
    until b < 128
    return value
  end
  number() -- flags: not stripped
  at = at + number() -- the chunk's name, whose length was before it
  local list = {}
  for length in number do
    if length == 0 then return list end
    local following = at + length
    at = at + 4
    number() -- constants
    number()
    local instructions, debug_size = number(), number()
    local first, lines = number(), number()
    local width = lines < 256 and 1 or lines < 65536 and 2 or 4
    local set, from = {}, following - debug_size
    for i = 0, instructions - 1 do
      local delta = 0
      for k = width, 1, -1 do delta = delta * 256 + bytes:byte(from + i * width + k - 1) end
      set[first + delta] = true
    end
    list[#list + 1] = set
    at = following
  end
end

--- Nothing but the end of something: it may have left by a return.
local function is_end(text)
  return not (text or ""):gsub("%f[%w]end%f[%W]", ""):gsub("%f[%w]else%f[%W]", ""):find "[^%s%)%}%],;]"
end

--- Sorted lines of the file's functions; what stands outside of them has run, or the app were not
--- loaded.
local function lines_of(name)
  local list, set, text, n = {}, {}, {}, 0
  local f = io.open(name:sub(2))
  local source = f and f:read "*a" or ""
  if f then f:close() end
  for line in (source .. "\n"):gmatch "([^\n]*)\n" do
    n = n + 1
    text[n] = line
  end
  local chunk = load(source, name, "t")
  local functions = chunk and functions_of(host.unlocked().dump(chunk)) or {}
  for i = 1, #functions - 1 do
    for line in pairs(functions[i]) do set[line] = not is_end(text[line]) or nil end
  end
  for line in pairs(set) do list[#list + 1] = line end
  table.sort(list)
  return list
end

-- ---------------------------------------------------------------- lines that ran

local function on_line(_, line)
  local of = hits[debug.getinfo(2, "S").source]
  if of then of[line] = true end
end

--- Before each spec: where the watchdog has stopped a handler, its hook has taken the place of ours.
function _M.look()
  if hits then debug.sethook(on_line, "l") end
end

function _M.start()
  hits = {}
  for _, path in ipairs(host.files()) do hits["@" .. host.root .. "/" .. path] = {} end
end

--- "12-14, 30"; neighbours are those without a line between them that ran.
local function ranges(lines, ran)
  local parts, from, last = {}, nil, nil
  for _, line in ipairs(lines) do
    if not ran[line] then
      from, last = from or line, line
    elseif from then
      parts[#parts + 1], from = from == last and from or from .. "-" .. last, nil
    end
  end
  if from then parts[#parts + 1] = from == last and from or from .. "-" .. last end
  return table.concat(parts, ", ")
end

local function percent(n, all) return all == 0 and 100 or math.floor(100 * n / all) end

--- To standard error, as standard output may be TAP or XML.
function _M.report()
  if not hits then return end
  debug.sethook()
  local out, all, all_ran = {}, 0, 0
  for _, path in ipairs(host.files()) do
    local name = "@" .. host.root .. "/" .. path
    local lines, n = lines_of(name), 0
    for _, line in ipairs(lines) do n = n + (hits[name][line] and 1 or 0) end
    if lines[1] then
      local missing = ranges(lines, hits[name])
      out[#out + 1] = ("  %3d %%  %s%s\n"):format(percent(n, #lines), path, missing ~= "" and "  not run: " .. missing or "")
    end
    all, all_ran = all + #lines, all_ran + n
  end
  io.stderr:write(("\nCoverage of the lines in functions: %d %%\n"):format(percent(all_ran, all)), table.concat(out))
end

return _M
