---@meta _
-- Annotations of schemas: what z.string(), z.object { … } and so on give.
-- luacheck: ignore 241

--- Calls come in the order of their meaning, as with zod: min() before optional().
---@class rbf.Schema
local Schema = {}
---@return rbf.Schema
function Schema:optional() end
--- null is taken: nil in r.input, null when it is written.
---@return rbf.Schema
function Schema:nullable() end
--- In place of an absent value. Each use gets its own copy.
---@param value any or a function that makes one
---@return rbf.Schema
function Schema:default(value) end
--- fn says whether the value will do; abort leaves out the checks that follow.
---@generic S : rbf.Schema
---@param self S
---@param fn fun(value: any): any
---@param options? string|{ message?: string, path?: (string|integer)[], abort?: boolean }
---@return S
function Schema:refine(fn, options) end
--- What fn gives takes the value's place; it is not called when something is wrong.
---@param fn fun(value: any): any
---@return rbf.Schema
function Schema:transform(fn) end
--- What this one gives is what the other one gets.
---@param schema rbf.Schema
---@return rbf.Schema
function Schema:pipe(schema) end
---@param v any
---@return any # raises an rbf.Error with issues
function Schema:parse(v) end
---@param v any
---@return { success: boolean, data: any, error: rbf.Error? }
function Schema:safeParse(v) end
--- JSON Schema, draft 2020-12, of what the schema gives, or with io = "input" of what it takes.
---@param options? { io?: "input"|"output" }
---@return table
function Schema:toJSONSchema(options) end

---@class rbf.StringSchema : rbf.Schema
local StringSchema = {}
---@param n integer characters
---@param message? rbf.z.Message
---@return rbf.StringSchema
function StringSchema:min(n, message) end
---@param n integer characters
---@param message? rbf.z.Message
---@return rbf.StringSchema
function StringSchema:max(n, message) end
---@param n integer characters
---@param message? rbf.z.Message
---@return rbf.StringSchema
function StringSchema:length(n, message) end
---@param message? rbf.z.Message
---@return rbf.StringSchema
function StringSchema:nonempty(message) end
---@param message? rbf.z.Message
---@return rbf.StringSchema
function StringSchema:email(message) end
---@param message? rbf.z.Message
---@return rbf.StringSchema
function StringSchema:uuid(message) end
--- White space around it is cut off.
---@param message? rbf.z.Message
---@return rbf.StringSchema
function StringSchema:url(message) end
--- ISO 8601 with Z; offset takes +02:00 too, ["local"] neither; precision: digits of seconds, -1 for none.
---@param options? string|{ offset?: boolean, local?: boolean, precision?: integer, message?: string }
---@return rbf.StringSchema
function StringSchema:datetime(options) end
--- A Lua pattern that is found in it (anchor it with ^ and $), or a function of it.
---@param pattern string|fun(value: string): any
---@param message? rbf.z.Message
---@return rbf.StringSchema
function StringSchema:regex(pattern, message) end
---@param text string
---@param message? rbf.z.Message
---@return rbf.StringSchema
function StringSchema:startsWith(text, message) end
---@param text string
---@param message? rbf.z.Message
---@return rbf.StringSchema
function StringSchema:endsWith(text, message) end
---@param text string
---@param message? rbf.z.Message
---@return rbf.StringSchema
function StringSchema:includes(text, message) end
--- These change the text for the checks that follow.
---@return rbf.StringSchema
function StringSchema:trim() end
--- ASCII letters.
---@return rbf.StringSchema
function StringSchema:toLowerCase() end
--- ASCII letters.
---@return rbf.StringSchema
function StringSchema:toUpperCase() end

---@class rbf.NumberSchema : rbf.Schema
local NumberSchema = {}
--- Whole, within 2^53.
---@param message? rbf.z.Message
---@return rbf.NumberSchema
function NumberSchema:int(message) end
---@param n number
---@param message? rbf.z.Message
---@return rbf.NumberSchema
function NumberSchema:min(n, message) end
---@param n number
---@param message? rbf.z.Message
---@return rbf.NumberSchema
function NumberSchema:max(n, message) end
---@param n number
---@param message? rbf.z.Message
---@return rbf.NumberSchema
function NumberSchema:gte(n, message) end
---@param n number
---@param message? rbf.z.Message
---@return rbf.NumberSchema
function NumberSchema:gt(n, message) end
---@param n number
---@param message? rbf.z.Message
---@return rbf.NumberSchema
function NumberSchema:lte(n, message) end
---@param n number
---@param message? rbf.z.Message
---@return rbf.NumberSchema
function NumberSchema:lt(n, message) end
---@param message? rbf.z.Message
---@return rbf.NumberSchema
function NumberSchema:positive(message) end
---@param message? rbf.z.Message
---@return rbf.NumberSchema
function NumberSchema:negative(message) end
---@param message? rbf.z.Message
---@return rbf.NumberSchema
function NumberSchema:nonnegative(message) end
---@param message? rbf.z.Message
---@return rbf.NumberSchema
function NumberSchema:nonpositive(message) end
---@param n number
---@param message? rbf.z.Message
---@return rbf.NumberSchema
function NumberSchema:multipleOf(n, message) end

---@class rbf.ArraySchema : rbf.Schema
local ArraySchema = {}
---@param n integer items
---@param message? rbf.z.Message
---@return rbf.ArraySchema
function ArraySchema:min(n, message) end
---@param n integer items
---@param message? rbf.z.Message
---@return rbf.ArraySchema
function ArraySchema:max(n, message) end
---@param n integer items
---@param message? rbf.z.Message
---@return rbf.ArraySchema
function ArraySchema:length(n, message) end
---@param message? rbf.z.Message
---@return rbf.ArraySchema
function ArraySchema:nonempty(message) end

---@class rbf.ObjectSchema : rbf.Schema
local ObjectSchema = {}
--- Keys beyond the shape are an issue.
---@return rbf.ObjectSchema
function ObjectSchema:strict() end
--- Keys beyond the shape are kept as they are.
---@return rbf.ObjectSchema
function ObjectSchema:passthrough() end
--- Keys beyond the shape are left out, as usual.
---@return rbf.ObjectSchema
function ObjectSchema:strip() end
--- All fields may be absent, or those of the mask.
---@param mask? table<string, boolean>|string[]
---@return rbf.ObjectSchema
function ObjectSchema:partial(mask) end
---@param mask table<string, boolean>|string[]
---@return rbf.ObjectSchema
function ObjectSchema:pick(mask) end
---@param mask table<string, boolean>|string[]
---@return rbf.ObjectSchema
function ObjectSchema:omit(mask) end
--- More fields; one of the same name takes the place of the old one.
---@param shape table<string, rbf.Schema>
---@return rbf.ObjectSchema
function ObjectSchema:extend(shape) end
