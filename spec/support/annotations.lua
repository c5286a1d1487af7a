--- Reads annotations (LuaCATS) as far as specs ask: classes with their fields and functions, each
--- function with what it returns. (A field that is a function is one too, but not defined.)
local _M = {}

local function class_of(result, name)
  result.classes[name] = result.classes[name] or { fields = {}, functions = {}, overloads = {} }
  return result.classes[name]
end

--- One line; state: the class that fields belong to, what the next function returns, locals by name.
local function read_line(result, state, line)
  local name, rest = line:match "^%-%-%-@class ([%w_.%-]+)(.*)$"
  if name then
    state.class, state.fresh = name, true
    class_of(result, name).parent = rest:match "^ : ([%w_.]+)"
    return
  end
  name, rest = line:match "^%-%-%-@alias ([%w_.%-]+) (.+)$"
  if name then result.aliases[name] = rest return end
  name, rest = line:match "^%-%-%-@field ([%w_]+)%??%s+(.*)$"
  if not name then name, rest = line:match '^%-%-%-@field %["(.-)"%]%??%s+(.*)$' end
  if name then
    local fields = class_of(result, state.class).fields
    fields[name] = fields[name] or {}
    table.insert(fields[name], rest)
    if rest:find "^fun%(" then class_of(result, state.class).functions[name] = {} end
    return
  end
  rest = line:match "^%-%-%-@overload (.*)$"
  if rest and state.class then table.insert(class_of(result, state.class).overloads, rest) end
  rest = line:match "^%-%-%-@return ([%w_.]+)"
  if rest then state.returns = rest return end
  name = line:match "^local ([%w_]+) = {}$"
  if name and state.fresh then state.locals[name], state.fresh = state.class, false return end
  local owner
  owner, name = line:match "^function ([%w_]+)[.:]([%w_]+)%("
  if owner then
    assert(state.locals[owner], "whose function is this? " .. line)
    class_of(result, state.locals[owner]).functions[name] = { returns = state.returns, defined = true }
    state.returns = nil
    return
  end
  owner, name, rest = line:match "^([%w_]+)%.([%w_]+) = ([%w_]+)$"
  if owner then class_of(result, state.locals[owner]).fields[name] = { state.locals[rest] } end
end

--- Adds a text's annotations to result (a new one without it).
function _M.read(text, result)
  result = result or { classes = {}, aliases = {} }
  local state = { locals = {} }
  for line in text:gmatch "[^\n]+" do read_line(result, state, line) end
  return result
end

return _M
