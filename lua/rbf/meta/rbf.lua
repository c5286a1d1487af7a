---@meta rbf
-- Annotations for editors (lua-language-server: add lua/rbf/meta to workspace.library).
-- luacheck: ignore 241

---@class rbf
---@field z rbf.z
---@field log rbf.log
---@field null userdata JSON null where nil cannot stand: list slots, record values, SQL NULL in insert
---@field op rbf.op operators for where
---@field all rbf.All all rows, as a where; all columns, in onConflict's update
---@field Error rbf.Error the metatable of errors of the framework and of the database
local rbf = {}

---@alias rbf.Duration { ms?: number, seconds?: number, minutes?: number, hours?: number, days?: number }
---@alias rbf.Handler fun(r: rbf.Request): any
---@alias rbf.Middleware fun(r: rbf.Request): { ctx?: table }?

---@class rbf.QueueOptions
---@field subject? string default: the queue's name
---@field stream? string
---@field consumer? string
---@field middleware? rbf.Middleware runs first, for every operation on the queue
---@field ackWait? rbf.Duration 30 s
---@field timeout? rbf.Duration of one run; 25 s
---@field concurrency? integer most runs at once
---@field replicas? integer of the stream

---@param options { queues: table<string, rbf.QueueOptions>, context?: table, middleware?: rbf.Middleware }
---@return rbf.App
function rbf.defineBackend(options) end

--- What main.lua returns. Options are the host's settings (db, nats, namespace, subjectPrefix, …).
---@param app rbf.App
---@param options? { context?: table, queues?: table<string, rbf.QueueOptions>, db?: string, nats?: string, [string]: any }
---@return rbf.Backend
function rbf.createBackend(app, options) end

--- Ends the handler with an answer for the caller; permanent.
---@param t { status?: integer, code?: string, message?: string, details?: any }
function rbf.fail(t) end

--- Ends the handler; the message is tried again later.
---@param t? { after?: rbf.Duration, message?: string }
function rbf.retry(t) end

--- Marks a table as a list, so that an empty one is written [].
---@generic T : table
---@param t? T
---@return T
function rbf.array(t) end

--- Bytes for scheduler:publish.
---@param bytes string
function rbf.raw(bytes) end

--- A new UUID, version 7.
---@return string
function rbf.uuid() end

--- ms since the epoch, by the database's clock.
---@return integer
function rbf.now() end

---@param duration rbf.Duration
function rbf.sleep(duration) end

---@class rbf.All
---@class rbf.Operator

--- Operators for where. None takes nil. rbf.op["in"], ["and"], ["or"] and ["not"] work as well.
---@class rbf.op
---@field eq fun(value: any): rbf.Operator also for jsonb and array columns
---@field ne fun(value: any): rbf.Operator as <> in SQL: not true for NULL
---@field gt fun(value: any): rbf.Operator
---@field gte fun(value: any): rbf.Operator
---@field lt fun(value: any): rbf.Operator
---@field lte fun(value: any): rbf.Operator
---@field in_ fun(list: any[]): rbf.Operator an empty list finds nothing
---@field notIn fun(list: any[]): rbf.Operator an empty list is an error
---@field like fun(pattern: string): rbf.Operator
---@field ilike fun(pattern: string): rbf.Operator
---@field between fun(from: any, to: any): rbf.Operator both ends included
---@field isNull fun(): rbf.Operator
---@field isNotNull fun(): rbf.Operator
---@field and_ fun(...: rbf.Where): rbf.Operator of wheres, or of operators on one column
---@field or_ fun(...: rbf.Where): rbf.Operator
---@field not_ fun(where: rbf.Where): rbf.Operator

rbf.json = {}

---@param v any
---@return string
function rbf.json.encode(v) end

---@param text string
---@return any # null is rbf.null
function rbf.json.decode(text) end

---@class rbf.Backend

---@class rbf.App
local App = {}

--- A new app whose operations run fn before their handlers.
---@param fn rbf.Middleware
---@return rbf.App
function App:middleware(fn) end

---@class rbf.Definition
---@field path string "users.get.$userId"
---@field input? rbf.Schema default: z.null()
---@field output? rbf.Schema default: whatever JSON can say
---@field handler rbf.Handler
---@field example? any an input that the schema takes: what `rbf dev` says to try
---@field timeout? rbf.Duration
---@field name? string default: the key its file returns it under

---@param queue string
---@param definition rbf.Definition
---@return rbf.Operation
function App:mutation(queue, definition) end

---@param queue string
---@param definition rbf.Definition
---@return rbf.Operation
function App:query(queue, definition) end

---@class rbf.Operation
---@field type "mutation"|"query"
---@field queue string
---@field path string
---@field name? string

---@class rbf.Request
---@field ctx table|{ log: rbf.log } a fresh shallow copy for each run
---@field db rbf.Db
---@field scheduler? rbf.Scheduler mutations only
---@field input any validated; as it was sent while middleware runs
---@field params table<string, string>
---@field msg rbf.Message

---@class rbf.Message
---@field subject string
---@field headers table<string, string> lookups ignore case
---@field requestId string
---@field attempt integer from 1
---@field timestamp integer ms since the epoch
---@field operation string "queue.path"
---@field type "mutation"|"query"

---@class rbf.Error
---@field code string
---@field status integer
---@field message string
---@field sqlstate? string
---@field details? any
---@field issues? { path: (string|integer)[], code: string, message: string }[]

---@class rbf.log
local log = {}
---@param message string
---@param fields? table
function log:debug(message, fields) end
---@param message string
---@param fields? table
function log:info(message, fields) end
---@param message string
---@param fields? table
function log:warn(message, fields) end
---@param message string
---@param fields? table
function log:error(message, fields) end

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

---@class rbf.Scheduler
local Scheduler = {}

---@class rbf.JobOptions
---@field input? any
---@field params? table<string, string|integer>
---@field headers? table<string, string>
---@field id? string the follow-up's request id: the same id is never done twice

---@param op rbf.Operation|string
---@param options? rbf.JobOptions
---@return string # job id
function Scheduler:enqueue(op, options) end

---@param time integer ms since the epoch
---@param op rbf.Operation|string
---@param options? rbf.JobOptions
---@return string
function Scheduler:runAt(time, op, options) end

---@param delay rbf.Duration
---@param op rbf.Operation|string
---@param options? rbf.JobOptions
---@return string
function Scheduler:runAfter(delay, op, options) end

---@param subject string
---@param payload any JSON, or rbf.raw(bytes)
---@param options? { headers?: table<string, string>, stream?: boolean }
function Scheduler:publish(subject, payload, options) end

--- If this run fails, the next attempt comes after this time.
---@param delay rbf.Duration
function Scheduler:setRetryDelay(delay) end

---@class rbf.z
local z = {}
---@return rbf.StringSchema
function z.string() end
---@return rbf.NumberSchema
function z.number() end
---@return rbf.NumberSchema
function z.int() end
---@return rbf.Schema
function z.boolean() end
---@return rbf.Schema
function z.any() end
---@return rbf.Schema
function z.null() end
---@param values string[]
---@return rbf.Schema
function z.enum(values) end
---@param item rbf.Schema
---@return rbf.ArraySchema
function z.array(item) end
---@param shape table<string, rbf.Schema>
---@return rbf.Schema
function z.object(shape) end

---@class rbf.Schema
local Schema = {}
---@generic S : rbf.Schema
---@param self S
---@return S
function Schema:optional() end
---@generic S : rbf.Schema
---@param self S
---@return S
function Schema:nullable() end
---@generic S : rbf.Schema
---@param self S
---@param value any or a function that makes one
---@return S
function Schema:default(value) end
---@param v any
---@return any # raises an rbf.Error with issues
function Schema:parse(v) end
---@param v any
---@return { success: boolean, data: any, error: rbf.Error? }
function Schema:safeParse(v) end

---@class rbf.StringSchema : rbf.Schema
local StringSchema = {}
---@param n integer characters
---@return rbf.StringSchema
function StringSchema:min(n) end
---@param n integer characters
---@return rbf.StringSchema
function StringSchema:max(n) end
---@return rbf.StringSchema
function StringSchema:email() end
---@return rbf.StringSchema
function StringSchema:uuid() end

---@class rbf.NumberSchema : rbf.Schema
local NumberSchema = {}
---@return rbf.NumberSchema
function NumberSchema:int() end
---@param n number
---@return rbf.NumberSchema
function NumberSchema:min(n) end
---@param n number
---@return rbf.NumberSchema
function NumberSchema:max(n) end

---@class rbf.ArraySchema : rbf.Schema
local ArraySchema = {}
---@param n integer
---@return rbf.ArraySchema
function ArraySchema:min(n) end
---@param n integer
---@return rbf.ArraySchema
function ArraySchema:max(n) end

return rbf
