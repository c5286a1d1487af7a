--- What `rbf types` writes: annotations (LuaCATS) of an app that is loaded, for editors.
local registry = require "rbf.registry"
local ops = require "rbf.types.ops"
local rows = require "rbf.types.rows"
local text = require "rbf.types.text"

local _M = {}

local head = [[
---@meta _
-- Written by `rbf types`: run it again when schemas, paths or tables have changed.
-- luacheck: ignore]]

--- The text; columns: of the database, nil without one (see rows.write). Gives also how many
--- operations and tables are in it.
function _M.write(columns)
  local out, names = { head }, text.names()
  ops.write(registry.ops, out, names)
  local tables = columns and rows.write(columns, out, names) or 0
  return table.concat(out, "\n\n") .. "\n", #registry.ops, tables
end

return _M
