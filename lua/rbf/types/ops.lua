--- Operations: what a handler's r holds, and what the client takes and gives.
local shape = require "rbf.types.shape"
local text = require "rbf.types.text"

local concat, ipairs = table.concat, ipairs
local _M = {}

local base_of = { mutation = "rbf.MutationRequest", query = "rbf.QueryRequest" }
local kinds = { "r", "input", "output", "call", "client", "sent", "pending" }

--- Sorted, so that the same app gives the same text whatever order its files are loaded in.
local function sorted(ops)
  local list = { unpack(ops) }
  table.sort(list, function(a, b)
    if a.queue ~= b.queue then return a.queue < b.queue end
    return a.path < b.path
  end)
  return list
end

--- "jobs.users.get.userId" for the operation users.get.$userId, and all names made of it.
local function reserve(names, op)
  local base = (op.queue .. "." .. op.path):gsub("%$", "")
  local taken, n = base, 1
  while names.used["rbf.r." .. taken] do
    n = n + 1
    taken = base .. "_" .. n
  end
  for _, kind in ipairs(kinds) do names:new(("rbf.%s.%s"):format(kind, taken)) end
  return taken
end

--- { userId: string } of a path; nil when it has no parameters.
local function params_of(path, of)
  local parts = {}
  for name in path:gmatch "%$([%w_]+)" do parts[#parts + 1] = text.key(name) .. ": " .. of end
  return parts[1] and "{ " .. concat(parts, ", ") .. " }"
end

local function put(out, chunk) out[#out + 1] = chunk end

--- Declares the input as the handler gets it, and as it is sent where that is something else.
--- Fields for both: { "input?", type }.
local function input(out, op, base, names)
  if not op.input then return { "input", "nil" }, { "input?", "nil" } end
  local name = "rbf.input." .. base
  local sent_name, before = name, names:copy()
  local got, lacks, null = shape.declare(op.input, "got", name, names)
  local sent, sent_lacks, sent_null = shape.declare(op.input, "sent", name, before)
  put(out, got)
  if sent ~= got then
    sent_name = "rbf.sent." .. base
    put(out, (shape.declare(op.input, "sent", sent_name, names)))
  end
  return { text.field("input", name, lacks or null) },
    { text.field("input", sent_null and sent_name .. "|rbf.Null" or sent_name, sent_lacks) }
end

local function output(out, op, base, names)
  if not op.output then return "any" end
  local name = "rbf.output." .. base
  local declared, lacks, null = shape.declare(op.output, "given", name, names)
  put(out, declared)
  return (lacks or null) and name .. "?" or name
end

local function class(name, parent, ...)
  local lines = { ("---@class %s : %s"):format(name, parent), ... }
  return concat(lines, "\n")
end

local function field(f) return ("---@field %s %s"):format(f[1], f[2]) end

local function client(out, base, op, sent, result)
  local own, call, pending = "rbf.client." .. base, "rbf.call." .. base, "rbf.pending." .. base
  local params = params_of(op.path, "string|integer")
  put(out, class(call, "rbf.CallOptions", field(sent), params and field { "params", params }))
  put(out, class(pending, "rbf.SentRequest", ("---@field wait fun(self: %s): %s"):format(pending, result)))
  local mark = (sent[1] == "input" or params) and "" or "?"
  put(out, class(own, "rbf.ClientOperation",
    ("---@overload fun(options%s: %s): %s"):format(mark, call, result),
    ("---@field send fun(self: %s, options%s: %s): %s"):format(own, mark, call, pending)))
end

local function operation(out, op, base, names)
  put(out, ("-- %s %s.%s, %s"):format(op.type, op.queue, op.path, (op.file:gsub(":%d+$", ""))))
  local got, sent = input(out, op, base, names)
  local result = output(out, op, base, names)
  put(out, class("rbf.r." .. base, base_of[op.type], field(got),
    field { "params", params_of(op.path, "string") or "rbf.NoParams" }))
  if op.name then client(out, base, op, sent, result) end
end

--- The classes rbf.Mutations and rbf.Queries: what the client is asked for by name.
local function client_names(out, class_name, type_, list, bases)
  local fields = {}
  for i, op in ipairs(list) do
    if op.name and op.type == type_ then
      fields[#fields + 1] = field { text.key(op.name), "rbf.client." .. bases[i] }
    end
  end
  table.sort(fields)
  if fields[1] then put(out, ("---@class %s\n%s"):format(class_name, concat(fields, "\n"))) end
end

--- Appends the declarations of operations to out.
function _M.write(ops, out, names)
  local list, bases = sorted(ops), {}
  for i, op in ipairs(list) do bases[i] = reserve(names, op) end
  for i, op in ipairs(list) do operation(out, op, bases[i], names) end
  client_names(out, "rbf.Mutations", "mutation", list, bases)
  client_names(out, "rbf.Queries", "query", list, bases)
end

return _M
