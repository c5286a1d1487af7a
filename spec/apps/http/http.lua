local rbf = require "rbf"
local app = rbf.defineBackend { queues = {
  jobs = { ackWait = { seconds = 2 }, timeout = { seconds = 20 } },
} }
local request = rbf.http.request
local any = rbf.z.any()

local function told(ok, res)
  if not ok then return { code = res.code, message = tostring(res) } end
  return { status = res.status, body = res.body, url = res.url, kind = res.headers["Content-TYPE"] }
end

-- What comes of a request, or the error that was caught; the transaction commits all the same.
local call = app:mutation("jobs", { path = "call", input = any, handler = function(r)
  local result = told(pcall(request, r.input))
  r.db:insert("notes", { id = r.msg.requestId })
  return result
end })

local ask = app:query("jobs", { path = "ask", input = any, handler = function(r)
  return told(pcall(request, r.input))
end })

local uncaught = app:mutation("jobs", { path = "uncaught", input = any, handler = function(r)
  return request(r.input).status
end })

local binary = app:mutation("jobs", { path = "binary", input = any, handler = function(r)
  local bytes = {}
  for i = 1, 100000 do bytes[i] = string.char(i * 7 % 256) end
  local text = table.concat(bytes)
  return request { method = "POST", url = r.input.url, body = text }.body == text
end })

local json = app:mutation("jobs", { path = "json", input = any, handler = function(r)
  local res = request { method = "PUT", url = r.input.url, json = { list = rbf.array {}, n = 1 } }
  return { type = res.headers["content-type"], list = res:json().list, n = res:json().n }
end })

-- Three requests, and a conflict behind them.
local conflict = app:mutation("jobs", { path = "conflict", input = any, handler = function(r)
  local url = r.input.url
  request { method = "POST", url = url .. "/echo?pay" }
  request { url = url .. "/echo?look" }
  request { method = "POST", url = url .. "/echo?mail" }
  r.db:exec "SELECT conflict_once()"
  return r.msg.attempt
end })

-- The same, but the handler fails after them: another attempt is another delivery.
local again = app:mutation("jobs", { path = "again", input = any, handler = function(r)
  request { method = "POST", url = r.input.url }
  if r.msg.attempt == 1 then error "try again" end
  return r.msg.attempt
end })

local short = app:mutation("jobs", { path = "short", input = any, timeout = { ms = 300 }, handler = function(r)
  pcall(request, r.input)
  return "swallowed"
end })

local inside = app:mutation("jobs", { path = "inside", input = any, handler = function(r)
  local next_status = coroutine.wrap(function()
    for _ = 1, 3 do coroutine.yield(request(r.input).status) end
  end)
  local ok, undone = r.db:savepoint(function()
    r.db:insert("notes", { id = "undone" })
    request { url = "http://127.0.0.1:1/" }
  end)
  local _, sorted = pcall(table.sort, { 2, 1 }, function() return request(r.input).status end)
  return { next_status(), next_status(), next_status(), ok, undone.code, sorted }
end })

local plain = app:mutation("jobs", { path = "plain", input = any, handler = function(r)
  r.db:insert("notes", { id = r.msg.requestId })
end })

-- Both the handler and its hook send something; neither may be taken for the other.
local watched = app:middleware { onError = function(r)
  request { method = "POST", url = r.input.url .. "?alarm" }
end }
local alarm = watched:mutation("jobs", { path = "alarm", input = any, handler = function(r)
  request { method = "POST", url = r.input.url .. "?work" }
  rbf.fail { status = 409, code = "NO" }
end })

return {
  alarm = alarm, call = call, ask = ask, uncaught = uncaught, binary = binary, json = json, conflict = conflict, again = again,
  short = short, inside = inside, plain = plain,
}
