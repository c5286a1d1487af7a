--- What a dry run runs: the request that a dead letter or a stored result tells of.
local host = require "rbf.host"

local _M = {}

-- Those of the first try that a replay leaves out, as core/letters.c does.
local left_out = { ["reply-to"] = true, ["expires-at"] = true, ["target-at"] = true, ["nats-msg-id"] = true, ["request-id"] = true }

local REDACTED = "[redacted]"

--- The headers it runs with, and the names of those whose values were not kept.
local function headers_of(letter, id)
  local kept, lost = { ["RBF-Request-Id"] = id }, {}
  local stored = letter and letter.headers
  for name, value in pairs(type(stored) == "table" and stored or {}) do
    local lower = name:lower()
    if value == REDACTED then
      lost[#lost + 1] = name
    elseif not left_out[lower] and not lower:find "^rbf%-" then
      kept[name] = value
    end
  end
  table.sort(lost)
  return kept, lost
end

local function payload_of(letter, result)
  if not letter then return result.input end
  if letter.payload == host.null then error("the payload of this dead letter was not kept, as it could not be stored", 0) end
  return (letter.payload:gsub("%x%x", function(two) return string.char(tonumber(two, 16)) end))
end

local function subject_of(found, prefix)
  if found.subject:sub(1, #prefix) ~= prefix then
    error(("its subject %s does not begin with the prefix '%s' (--subject-prefix)"):format(found.subject, prefix), 0)
  end
  return found.subject:sub(#prefix + 1)
end

local function present(v) if v ~= host.null then return v end end

--- What happened: the letter's error; the stored outcome, which may be a later one.
local function outcome_of(letter, result)
  local happened = {}
  if letter then
    happened.deadLetter = {
      id = letter.id, error = { code = present(letter.code), message = present(letter.message) }, attempts = letter.attempts,
      traceback = present(letter.traceback), diedAt = letter.diedAt, codeVersion = present(letter.codeVersion),
      replayedAt = present(letter.replayedAt),
    }
  end
  if result then
    happened.result = {
      status = result.status, data = result.data, createdAt = result.createdAt, codeVersion = present(result.codeVersion),
    }
  end
  return happened
end

--- The request for test.run, and the report so far.
function _M.read(asked)
  local letter, result = present(asked.found.letter), present(asked.found.result)
  local found = letter or result
  local payload = payload_of(letter, result)
  local input, why = host.decode(payload)
  if input == nil then error(("its payload is no JSON that a handler could get: %s"):format(why), 0) end
  local headers, lost = headers_of(letter, found.requestId)
  local notes = setmetatable({}, host.array_mt)
  if not letter then
    notes[1] = "results are stored without the request's headers: it ran with none"
  elseif lost[1] then
    notes[1] = ("secrets are not kept in dead letters: it ran without the header%s %s"):format(lost[2] and "s" or "",
      table.concat(lost, ", "))
  end
  local r = {
    subject = subject_of(found, asked.prefix), payload = payload, requestId = found.requestId,
    headers_text = assert(host.encode(headers, "headers")),
  }
  return r, {
    requestId = found.requestId, subject = r.subject, input = input, headers = headers, codeVersion = asked.version,
    ["then"] = outcome_of(letter, result), notes = notes,
  }
end

return _M
