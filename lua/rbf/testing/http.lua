--- rbf.http in specs: nothing leaves the machine. t.http:reply says what comes back; a request that
--- nobody expected fails the spec, whatever the handler makes of the error.
local host = require "rbf.host"
local session = require "rbf.testing.session"
local util = require "rbf.util"

local _M = {}
local Http = {}
Http.__index = function(_, key)
  if key == "calls" then return session.state.calls end
  return Http[key]
end

local reply_keys = {
  method = true, url = true, status = true, json = true, body = true, headers = true, times = true, fails = true,
}

--- What the next request that fits gets: { method =, url = (the whole, or a Lua pattern, or a
--- function), status =, json = | body =, headers =, times =, fails = "message" }.
function Http:reply(answer)
  local blame = require("rbf.testing.blame").raise
  if type(self) ~= "table" or getmetatable(self) ~= Http then blame("use t.http:reply { … }, with a colon") end
  if type(answer) ~= "table" then blame("t.http:reply takes a table: { url = …, json = … }, found %s", util.describe(answer)) end
  for k in pairs(answer) do
    if not reply_keys[k] then
      blame("t.http:reply: unknown key '%s'%s", tostring(k), util.did_you_mean(tostring(k), util.sorted_keys(reply_keys)))
    end
  end
  local one = { left = answer.times }
  for k, v in pairs(answer) do one[k] = v end
  table.insert(session.state.replies, one)
end

local function fits(reply, call)
  if reply.left == 0 or reply.method and reply.method:upper() ~= call.method then return false end
  if reply.url == nil then return true end
  if type(reply.url) == "function" then return reply.url(call.url, call) end
  return reply.url == call.url or call.url:find("^" .. reply.url .. "$") ~= nil
end

local function lines(headers, is_json)
  local list = {}
  for name, value in pairs(headers or {}) do list[#list + 1] = ("%s: %s\n"):format(name:lower(), value) end
  if is_json then list[#list + 1] = "content-type: application/json\n" end
  return table.concat(list)
end

local run = { id = nil, n = 0 } -- the request whose handler runs

function _M.begin(request_id) run.id, run.n = request_id, 0 end

--- The place of the question "http": true, status, headers, body, url; or false, message, code.
function _M.answer(method, url, headers, body)
  local call = { method = method, url = url, headers = headers and host.decode(headers) or {}, body = body }
  run.n = run.n + 1
  if run.id and method ~= "GET" and method ~= "HEAD" then
    call.headers["Idempotency-Key"] = call.headers["Idempotency-Key"] or ("%s/%d"):format(run.id, run.n)
  end
  local state = session.state
  state.calls[#state.calls + 1] = call
  for _, reply in ipairs(state.replies) do
    if fits(reply, call) then
      if reply.left then reply.left = reply.left - 1 end
      if reply.fails then return false, reply.fails, "HTTP_CONNECT" end
      local text = reply.body or ""
      if reply.json ~= nil then text = assert(host.encode(reply.json, "json")) end
      return true, reply.status or 200, lines(reply.headers, reply.json ~= nil), text, url
    end
  end
  local why = ("unexpected request %s %s: say what it gets by t.http:reply { url = …, json = … }"):format(method, url)
  state.unexpected[#state.unexpected + 1] = require("rbf.errors").here() .. why
  return false, why
end

--- What the last run asked without anybody expecting it; forgotten then.
function _M.unexpected()
  local why = session.state.unexpected[1]
  session.state.unexpected = {}
  return why
end

_M.http = setmetatable({}, Http)

return _M
