--- Middleware: parts of { before, after, onError }, and how a run goes through an operation's.
--- before: in order, in the transaction. after: backwards, in the transaction, before the output is
--- checked. onError: backwards, after the rollback, all of them however far the run got.
local host = require "rbf.host"
local errors = require "rbf.errors"
local log = require "rbf.log"
local registry = require "rbf.registry"
local util = require "rbf.util"

local misuse = errors.misuse
local pairs, pcall, type = pairs, pcall, type

local _M = {}

local keys = { before = true, after = true, onError = true }

--- A part of what users give: a function is a `before`. what: its name in messages.
function _M.part(v, what)
  if type(v) == "function" then return { before = v } end
  if type(v) ~= "table" then
    misuse("%s must be a function or { before =, after =, onError = }, found %s", what, util.describe(v))
  end
  util.check_keys(v, keys, what)
  if next(v) == nil then misuse("%s is empty: give it a before, an after or an onError", what) end
  local part = {}
  for name, fn in pairs(v) do
    part[name] = util.check_type(fn, "function", ("%s: %s"):format(what, name))
  end
  return part
end

--- The queue's middleware, then the app's, in the order in which it was added.
local function parts_of(op)
  local parts = { registry.queues[op.queue].middleware }
  for _, part in ipairs(op.chain) do parts[#parts + 1] = part end
  return parts
end

--- "app.lua:13" for each part: where its first hook stands. For `rbf routes`.
function _M.places(op)
  local places = setmetatable({}, host.array_mt)
  for i, part in ipairs(parts_of(op)) do
    local info = debug.getinfo(part.before or part.after or part.onError, "S")
    local inside = info.source:sub(1, #host.root + 2) == "@" .. host.root .. "/"
    places[i] = ("%s:%d"):format(inside and info.source:sub(#host.root + 3) or info.short_src, info.linedefined)
  end
  return places
end

--- Once the app is loaded: the operation's hooks, in the order in which they run.
function _M.plan(op)
  local parts = parts_of(op)
  op.before, op.after, op.on_error = {}, {}, {}
  for i = 1, #parts do op.before[#op.before + 1] = parts[i].before end
  for i = #parts, 1, -1 do
    op.after[#op.after + 1] = parts[i].after
    op.on_error[#op.on_error + 1] = parts[i].onError
  end
end

--- "users.lua:12: " of a hook that has returned: it is not on the stack any more.
local function place(fn)
  local info = debug.getinfo(fn, "S")
  return ("%s:%d: "):format(info.short_src, info.linedefined)
end

local function merged(ctx, more)
  local result = {}
  for k, v in pairs(ctx) do result[k] = v end
  for k, v in pairs(more) do result[k] = v end
  return result
end

local function bad_answer(fn, found)
  error(("%smiddleware must return nothing or { ctx = {…} }, found %s"):format(place(fn), found), 0)
end

local function check_answer(fn, answer)
  if type(answer) ~= "table" then bad_answer(fn, "a " .. type(answer)) end
  for k in pairs(answer) do
    if k ~= "ctx" then
      bad_answer(fn, ("the key '%s'; what handlers are to see goes into ctx"):format(tostring(k)))
    end
  end
  if answer.ctx ~= nil and type(answer.ctx) ~= "table" then bad_answer(fn, "a ctx that is a " .. type(answer.ctx)) end
end

--- Before the handler. What a part returns as ctx is merged over r.ctx.
function _M.before(op, r)
  local list = op.before
  host.phase(true)
  for i = 1, #list do
    local answer = list[i](r)
    if answer ~= nil then
      check_answer(list[i], answer)
      if answer.ctx then r.ctx = merged(r.ctx, answer.ctx) end
    end
  end
  host.phase(false)
end

--- After the handler: each part sees the result and may give another (rbf.null: null).
function _M.after(op, r, result)
  local list = op.after
  for i = 1, #list do
    local answer = list[i](r, result)
    if type(answer) == "function" or type(answer) == "thread" then
      error(("%safter must return nothing or the result to send, found a %s"):format(place(list[i]),
        type(answer)), 0)
    end
    if answer ~= nil then result = answer end
  end
  return result
end

local function differs(a, b)
  return a.status ~= b.status or a.code ~= b.code or a.message ~= b.message or a.details ~= b.details
end

--- What a returned value makes of the error: another, as by rbf.fail; or nil and why not.
local function from_answer(fn, e, mine, answer)
  if answer == nil or answer == mine and not differs(e, mine) then return e end
  if type(answer) ~= "table" then
    return nil, ("%sonError must return nothing, or an error such as { status = 409, code = \"…\", message = \"…\" }, "
      .. "found a %s"):format(place(fn), type(answer))
  end
  if errors.is_error(answer) then
    local details = answer.details
    if details == nil then details = answer.issues end
    answer = { status = answer.status, code = answer.code, message = answer.message, details = details }
  end
  local _, made = pcall(errors.fail, answer)
  if not errors.is_error(made) then return nil, place(fn) .. "onError returned what is no error: " .. made end
  made.where = place(fn)
  return made
end

--- One hook. Each gets a copy: what it writes there without returning it changes nothing.
local function map(fn, r, e)
  local mine = errors.copy(e)
  local ok, answer = pcall(fn, r, mine)
  local made, why
  if ok then
    made, why = from_answer(fn, e, mine, answer)
  elseif answer == mine then
    made, why = from_answer(fn, e, mine, mine)
  elseif errors.is_control(answer) then
    made = answer
  else
    why = errors.classify(answer).internal
  end
  if made then return made end
  log:error("onError failed; the error stays as it was", { error = host.pretty(why) })
  return e
end

--- After the rollback. failure: what the host knows (struct failure). Raises the error that takes
--- its place, if a hook gave one.
function _M.on_error(op, r, failure)
  local first = errors.of_failure(failure)
  local e = first
  for i = 1, #op.on_error do e = map(op.on_error[i], r, e) end
  if e ~= first then error(e, 0) end
end

return _M
