---@meta rbf
-- Annotations for editors (lua-language-server: add lua/rbf/meta to workspace.library).
-- luacheck: ignore 241

---@class rbf
---@field z rbf.z
---@field http rbf.http requests to other services
---@field log rbf.log
---@field backend rbf.Backend for scripts (rbf exec)
---@field null rbf.Null JSON null where nil cannot stand: list slots, record values, SQL NULL in insert
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
---@field group? integer most waiting mutations of one operation in one transaction; 64, 1: each has its own
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

---@class rbf.json
local json = {}
rbf.json = json

---@param v any
---@return string
function json.encode(v) end

---@param text string
---@return any # null is rbf.null
function json.decode(text) end

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
---@field group? integer mutations only: most of them in one transaction; goes before the queue's
---@field retry? rbf.RetryPolicy mutations only; goes before the queue's
---@field jit? boolean compile the handler: for long computations; the watchdog cannot stop it then
---@field name? string default: the key its file returns it under

---@param queue string
---@param definition rbf.MutationDefinition
---@return rbf.Operation
function App:mutation(queue, definition) end

---@param queue string
---@param definition rbf.QueryDefinition
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

return rbf
