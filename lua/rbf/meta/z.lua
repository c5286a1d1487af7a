---@meta rbf.z
-- Annotations of z: what makes schemas, and issues.
-- luacheck: ignore 241

---@class rbf.z
---@field coerce rbf.z.coerce
local z = {}

---@class rbf.z.coerce converts before it checks, by JavaScript's rules; tables are never converted
local coerce = {}
---@return rbf.StringSchema
function coerce.string() end
---@return rbf.NumberSchema
function coerce.number() end
---@return rbf.Schema
function coerce.boolean() end

---@return rbf.StringSchema
function z.string() end
---@param message? rbf.z.Message
---@return rbf.StringSchema
function z.email(message) end
---@param message? rbf.z.Message
---@return rbf.StringSchema
function z.uuid(message) end
---@param message? rbf.z.Message
---@return rbf.StringSchema
function z.url(message) end
---@return rbf.NumberSchema
function z.number() end
---@return rbf.NumberSchema
function z.int() end
---@return rbf.Schema
function z.boolean() end
---@return rbf.Schema
function z.null() end
--- Whatever it is, but it must be there. JSON null stays rbf.null.
---@return rbf.Schema
function z.any() end
--- The same as z.any.
---@return rbf.Schema
function z.unknown() end
--- One value or one of a list; rbf.null is null.
---@param value string|number|boolean|rbf.Null|(string|number|boolean|rbf.Null)[]
---@return rbf.Schema
function z.literal(value) end
---@param values string[]
---@return rbf.Schema
function z.enum(values) end
---@param item rbf.Schema
---@return rbf.ArraySchema
function z.array(item) end
--- A schema for each place; rest is for all places beyond.
---@param items rbf.Schema[]
---@param rest? rbf.Schema
---@return rbf.Schema
function z.tuple(items, rest) end
--- Keys that are not in the shape are left out: see strict and passthrough.
---@param shape table<string, rbf.Schema>
---@return rbf.ObjectSchema
function z.object(shape) end
--- Any keys. Those that a key schema lists (z.enum, z.literal) must all be there.
---@param key rbf.Schema
---@param value rbf.Schema
---@return rbf.Schema
function z.record(key, value) end
--- The first option that takes the value. When none does and just one has the right types, its
--- issues are reported; else one issue, whose `errors` are those of each option.
---@param options rbf.Schema[]
---@return rbf.Schema
function z.union(options) end
--- Objects told apart by one field, a z.literal or z.enum in each.
---@param name string
---@param options rbf.Schema[]
---@return rbf.Schema
function z.discriminatedUnion(name, options) end
--- For schemas that contain themselves: the function is asked when the first value comes.
---@param getter fun(): rbf.Schema
---@return rbf.Schema
function z.lazy(getter) end

---@alias rbf.z.Message string|{ message: string } instead of the usual message of an issue

---@class rbf.Issue
---@field path (string|integer)[] lists are counted from 0, as in JSON
---@field code string invalid_type, invalid_value, invalid_format, too_small, too_big, not_multiple_of, unrecognized_keys,
--- invalid_union, invalid_key or custom
---@field message string
---@field errors? rbf.Issue[][] of invalid_union: the issues of each option
---@field issues? rbf.Issue[] of invalid_key: what is wrong with the key

return z
