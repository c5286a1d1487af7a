--- A dry run's report, for people.
local host = require "rbf.host"

local WIDTH = 400

local function cut(text)
  text = text:gsub("[%z\1-\8\11-\31\127]", "?")
  return #text > WIDTH and text:sub(1, WIDTH):gsub("[\128-\191]*$", "") .. "…" or text
end

local function json(v)
  local text = host.encode(v, "value")
  return cut(text or tostring(v))
end

local function time(ms) return os.date("!%Y-%m-%d %H:%M:%SZ", ms / 1000) end

local function error_line(status, e)
  return ("%s%s: %s"):format(status and status .. " " or "", e.code or "ERROR", cut(tostring(e.message or "")))
end

local function put_trace(out, traceback)
  for line in (traceback or ""):gmatch "[^\n]+" do out("         %s", cut(line)) end
end

local function put_then(out, happened)
  local d, r = happened.deadLetter, happened.result
  if d then
    out("then   dead letter of %s, after %d attempt%s, on version %s", time(d.diedAt), d.attempts,
      d.attempts == 1 and "" or "s", d.codeVersion or "?")
    out("       %s", error_line(r and r.status ~= 200 and r.status, d.error))
    put_trace(out, d.traceback)
    if d.replayedAt then out("       sent again at %s", time(d.replayedAt)) end
  end
  if r and (not d or r.status == 200) then
    out("then   stored result of %s, on version %s", time(r.createdAt), r.codeVersion or "?")
    out("       %d %s", r.status, json(r.data))
  end
end

local function put_today(out, today, version)
  out("today  version %s, all of it rolled back", version)
  if today.status == 200 then
    out("       200 %s", json(today.data))
    return
  end
  out("       %s", error_line(today.status, today.error))
  if today.internal and today.internal ~= today.error.message then out("       %s", cut(today.internal)) end
  put_trace(out, today.traceback)
  if today.retryMs then out("       a host would try it again after %d ms", today.retryMs) end
end

local function put_write(out, w)
  local how = w.error and "failed: " .. cut(w.error) or w.undone and "undone by its savepoint"
    or ("%d row%s"):format(w.rows, w.rows == 1 and "" or "s")
  out("  %s", cut((w.sql:gsub("%s+", " "))))
  local values = {}
  for i, v in ipairs(w.params) do values[i] = ("$%d = %s"):format(i, json(v)) end
  if values[1] then out("    %s", table.concat(values, ", ")) end
  out("    %s%s", how, w.at and ", " .. w.at or "")
end

local function put_list(out, title, list, put)
  if not list[1] then return end
  out("")
  out("%s", title)
  for _, one in ipairs(list) do put(out, one) end
end

local function put_scheduled(out, e)
  out("  %s %s%s", e.subject, json(e.input), e.at and " at " .. time(e.at) or "")
end

local function put_rows(out, t)
  out("  %s: %d inserted, %d updated, %d deleted", t.table, t.inserted, t.updated, t.deleted)
end

local function put_message(out, m)
  out("  %s %s", m.subject, m.raw and ("%d bytes"):format(m.raw) or json(m.payload))
end

local function put_text(out, text) out("  %s", cut(text)) end

return function(report)
  local lines = {}
  local function out(form, ...) lines[#lines + 1] = form:format(...) end
  local fine = report.today.status == 200
  out("%s  request %s", report.subject, cut(report.requestId))
  out("input  %s", json(report.input))
  out("")
  put_then(out, report["then"])
  put_today(out, report.today, report.codeVersion)
  put_list(out, fine and "It would write" or "Before it failed it had written", report.writes, put_write)
  put_list(out, "Rows written, by triggers and undone savepoints too", report.rows or {}, put_rows)
  put_list(out, "It would schedule", report.scheduled, put_scheduled)
  put_list(out, "It would publish", report.published, put_message)
  put_list(out, "It would invalidate in the cache", report.invalidated, put_text)
  if fine and not report.writes[1] and not report.scheduled[1] and not report.published[1] then
    out("")
    out "It would write and schedule nothing."
  end
  put_list(out, "Note", report.notes, put_text)
  return table.concat(lines, "\n") .. "\n"
end
