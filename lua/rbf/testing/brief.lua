--- What rbf dev --gate reads of its specs (host/ops/gate.h): each spec's name before it runs, and at
--- the end a line that sums up and what failed, a page at most. A formatter of busted.
local MAX_FAILURES, MAX_LINES, MAX_WIDTH = 4, 7, 160

local function place(trace) return trace and trace.short_src and ("%s:%d"):format(trace.short_src, trace.currentline) end

local function cut(text)
  if #text <= MAX_WIDTH then return text end
  local n = MAX_WIDTH
  while text:byte(n + 1) >= 128 and text:byte(n + 1) < 192 do n = n - 1 end -- not inside of a character
  return text:sub(1, n) .. "…"
end

--- The first lines of what went wrong, beginning with file:line.
local function lines_of(failure)
  local message, at = failure.message, place(failure.trace) or place(failure.element.trace)
  local text = type(message) == "table" and require("pl.pretty").write(message) or tostring(message or "error without a message")
  if at and not text:find "^[^\n]-:%d+: " then text = at .. ": " .. text end
  local lines, n = {}, 0
  for line in text:gmatch "[^\n]+" do
    n = n + 1
    if n <= MAX_LINES then lines[n] = cut(line) end
  end
  if n > MAX_LINES then lines[MAX_LINES] = ("… %d more lines"):format(n - MAX_LINES + 1) end
  return lines
end

local function specs(n) return n == 1 and "1 spec" or n .. " specs" end

return function()
  local busted = require "busted"
  local handler = require "busted.outputHandlers.base"()

  function handler.testStart(element)
    io.write("\1", (handler.getFullName(element):gsub("%s+", " ")), " at ", place(element.trace) or "?", "\n")
    io.flush()
    return nil, true
  end

  function handler.suiteEnd()
    local red = {}
    for _, list in ipairs { handler.errors, handler.failures } do
      for _, failure in ipairs(list) do red[#red + 1] = failure end
    end
    local n = handler.successesCount + handler.failuresCount + handler.errorsCount
    io.write("\2", red[1] and ("%d of %s failed"):format(#red, specs(n)) or specs(n) .. " passed", "\n")
    for i = 1, math.min(#red, MAX_FAILURES) do
      local lines = lines_of(red[i])
      io.write(lines[1], "\n    in: ", cut(red[i].name or "?"), "\n")
      for j = 2, #lines do io.write("    ", lines[j], "\n") end
    end
    if #red > MAX_FAILURES then io.write(("… and %d more: rbf test shows all\n"):format(#red - MAX_FAILURES)) end
    io.flush()
    return nil, true
  end

  busted.subscribe({ "test", "start" }, handler.testStart, { predicate = handler.cancelOnPending })
  busted.subscribe({ "suite", "end" }, handler.suiteEnd)
  return handler
end
