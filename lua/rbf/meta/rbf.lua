---@meta rbf
-- Annotations for editors (lua-language-server: add lua/rbf/meta to workspace.library).
-- luacheck: ignore 241

---@class rbf
---@field z rbf.z
---@field log rbf.log
---@field backend rbf.Backend for scripts (rbf exec)
---@field null userdata JSON null where nil cannot stand: list slots, record values, SQL NULL in insert
---@field op rbf.op operators for where
---@field all rbf.All all rows, as a where; all columns, in onConflict's update
---@field Error rbf.Error the metatable of errors of the framework and of the database
local rbf = {}

---@alias rbf.Duration { ms?: number, seconds?: number, minutes?: number, hours?: number, days?: number }
---@alias rbf.Handler fun(r: rbf.Request): any

---@class rbf.QueueOptions
---@field subject? string default: the queue's name
---@field stream? string
---@field consumer? string
---@field middleware? rbf.Middleware runs first, for every operation on the queue
---@field ackWait? rbf.Duration 30 s
---@field timeout? rbf.Duration of one run; 25 s
---@field concurrency? integer most runs at once
---@field replicas? integer of the stream
---@field retry? rbf.RetryPolicy

--- When a failed run comes again. What it leaves out is the queue's, or the host's settings.
---@class rbf.RetryPolicy
---@field maxAttempts? integer runs before it is a dead letter
---@field backoff? "exponential"|"fixed"|rbf.Duration[] fixed: always `initial`; of a list the last one repeats
---@field initial? rbf.Duration
---@field max? rbf.Duration of the exponential waits
---@field jitter? number share of a wait that is drawn at random: 0 to 1; 0.5 for exponential waits, else 0

--- context: each run gets a copy (tables with a metatable are the same for all). modules: names of
--- installed Lua and C modules that the app may require; "openssl" stands for openssl.hmac and so on, too.
---@param options { queues: table<string, rbf.QueueOptions>, context?: table, middleware?: rbf.Middleware, modules?: string[] }
---@return rbf.App
function rbf.defineBackend(options) end

--- What main.lua returns. Options are the host's settings (db, nats, namespace, subjectPrefix, …).
---@param app rbf.App
---@param options? { context?: table, queues?: table<string, rbf.QueueOptions>, modules?: string[], db?: string, nats?: string, [string]: any }
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

---@class rbf.App
local App = {}

--- A new app whose operations run it around their handlers.
---@param part rbf.Middleware
---@return rbf.App
function App:middleware(part) end

---@class rbf.Definition
---@field path string "users.get.$userId"
---@field input? rbf.Schema default: z.null()
---@field output? rbf.Schema default: whatever JSON can say
---@field handler rbf.Handler
---@field example? any an input that the schema takes: what `rbf dev` says to try
---@field timeout? rbf.Duration
---@field retry? rbf.RetryPolicy mutations only; goes before the queue's
---@field jit? boolean compile the handler: for long computations; the watchdog cannot stop it then
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
---@field ctx table|{ log: rbf.log } a fresh copy for each run
---@field db rbf.Db not in onError
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
---@field issues? rbf.Issue[]
---@field requestId? string of a request that a script sent

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

--- Cancels a job that waits for its time: true, and it will never run (if this transaction commits);
--- false when it is due, under way, done or unknown.
---@param id string what enqueue, runAt or runAfter gave, or the `id` they were given
---@return boolean
function Scheduler:cancel(id) end

---@param subject string
---@param payload any JSON, or rbf.raw(bytes)
---@param options? { headers?: table<string, string>, stream?: boolean }
function Scheduler:publish(subject, payload, options) end

--- If this run fails, the next attempt comes after this time.
---@param delay rbf.Duration
function Scheduler:setRetryDelay(delay) end

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
---@param value string|number|boolean|userdata|(string|number|boolean|userdata)[]
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

return rbf
