---@meta _
-- Annotations of r.db: statements, and tables by name.
-- luacheck: ignore 241

--- { column = value or operator, … } (all must hold), a combination of such tables, or rbf.all. An
--- empty one is an error. Lua cannot tell { a = 1, b = nil } from { a = 1 }: where b may be nil,
--- write { a = 1, b = rbf.op.eq(b) }, which raises then.
---@alias rbf.Where table<string, string|number|boolean|rbf.Operator>|rbf.Operator|rbf.All

---@alias rbf.Direction "asc"|"desc"|"asc nulls first"|"asc nulls last"|"desc nulls first"|"desc nulls last"
---@alias rbf.Order string|table<string, rbf.Direction>

---@class rbf.FindFirst
---@field where rbf.Where
---@field columns? string|string[] default: all
---@field orderBy? rbf.Order|rbf.Order[] "name", { name = "desc" } or a list of these

---@class rbf.FindMany : rbf.FindFirst
---@field limit? integer
---@field offset? integer

---@class rbf.OnConflict
---@field columns? string|string[] those of the unique index
---@field constraint? string in place of columns
--- Names in the list take the new row's value, keys the value given; rbf.all: all that was to be
--- inserted. Without update the row is left as it is.
---@field update? (string[]|table<string, any>)|rbf.All

---@class rbf.Db
local Db = {}

--- All rows. Parameters are $1, $2, …; nil and rbf.null are NULL. A table becomes an array or JSON and
--- a string bytes (bytea) or text as the parameter's type wants it; for json and jsonb a string is
--- JSON text (rbf.json.encode).
---@param sql string
---@param ... any
---@return table[]
function Db:query(sql, ...) end

--- The row, or nil; two rows are an error.
---@param sql string
---@param ... any
---@return table?
function Db:one(sql, ...) end

--- Rows affected.
---@param sql string
---@param ... any
---@return integer
function Db:exec(sql, ...) end

--- The first row that fits, or nil.
---@param name string "users" or "schema.users"; quoted, as are the columns
---@param options rbf.FindFirst
---@return table?
function Db:findFirst(name, options) end

--- All rows that fit.
---@param name string
---@param options rbf.FindMany
---@return table[]
function Db:findMany(name, options) end

--- Inserts a row, or a list of rows, and gives back what the table then holds: nil, or fewer rows,
--- where onConflict left some out.
---@param name string
---@param values table|table[] nil: the column's default, rbf.null: NULL
---@param options? { onConflict?: "ignore"|rbf.OnConflict }
---@return table|table[]
function Db:insert(name, values, options) end

--- Changes the rows that fit and gives them back as they are then.
---@param name string
---@param set table<string, any> rbf.null: NULL
---@param options { where: rbf.Where }
---@return table[]
function Db:update(name, set, options) end

--- Deletes the rows that fit and gives them back.
---@param name string
---@param options { where: rbf.Where }
---@return table[]
function Db:delete(name, options) end

--- Runs fn. true and its results, or false and the error with all that fn did undone (SQL errors of
--- the classes 22 and 23 and P0001, and errors of Lua; others go through).
---@param fn fun(): ...
---@return boolean, ...
function Db:savepoint(fn) end
