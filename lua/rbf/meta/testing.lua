---@meta rbf.testing
-- Annotations of the testing library, see docs/testing.md.
-- luacheck: ignore 241 212

---@class rbf.testing
local testing = {}

---@class rbf.TestOptions
---@field commit? boolean each spec on a database of its own, with real COMMITs

--- The app under test, as `rbf test` has loaded it. app: its folder, what one of its files returned,
--- or nothing.
---@param app? string|table
---@param options? rbf.TestOptions
---@return rbf.Testing
function testing.load(app, options) end

--- A real host of this app, with a PostgreSQL and a NATS of its own; it ends with the block that
--- started it.
---@param app? string its folder
---@return rbf.TestHost
function testing.host(app) end

---@class rbf.TestHost
---@field databaseUrl string
---@field natsUrl string
local TestHost = {}

--- Sends a mutation and waits for its result.
---@param op rbf.Operation|string
---@param options? rbf.TestCall
---@return any result, rbf.TestFailure? err
function TestHost:mutate(op, options) end

--- Sends a query and waits for its answer.
---@param op rbf.Operation|string
---@param options? rbf.TestCall
---@return any result, rbf.TestFailure? err
function TestHost:query(op, options) end

--- Calls fn until it gives something true, and gives that; an error after 10 s, or ms.
---@param fn fun(): any
---@param ms? integer
---@return any
function TestHost:eventually(fn, ms) end

--- Ends it now.
function TestHost:stop() end

---@class rbf.TestCall
---@field input? any
---@field params? table<string, string|integer>
---@field headers? table<string, string>
---@field requestId? string
---@field attempt? integer 1 unless said; what r.msg.attempt is

---@class rbf.TestFailure
---@field status integer
---@field code string
---@field message string what a caller would be told
---@field issues? table[] of an input that does not fit
---@field kind "permanent"|"input"|"retry"|"sql"|"error"|"output"
---@field internal? string the real message, with the handler's file and line
---@field traceback? string the app's frames
---@field sqlstate? string
---@field retry_ms? number how long a host would wait before the next attempt; nil: there is none

---@class rbf.TestScheduled
---@field path? string "queue.path" of the operation; nil: none of this app takes it
---@field subject string
---@field input? any
---@field params table<string, string>
---@field headers table<string, string>
---@field id string the job's id
---@field requestId string
---@field at integer ms since the epoch
---@field after integer ms from its scheduling; 0: at once

---@class rbf.TestOutcome
---@field path string
---@field input? any
---@field params table<string, string>
---@field attempt integer
---@field ok boolean
---@field result? any
---@field err? rbf.TestFailure

---@class rbf.TestReply
---@field method? string
---@field url? string|fun(url: string, call: table): boolean the whole URL, as it is or as a Lua pattern
---@field status? integer 200
---@field json? any
---@field body? string
---@field headers? table<string, string>
---@field times? integer how often it answers; without: always
---@field fails? string instead of an answer, an rbf.Error with the code HTTP_CONNECT

---@class rbf.TestHttp
---@field calls { method: string, url: string, headers: table<string, string>, body?: string }[]
local TestHttp = {}

--- What rbf.http gets for a request that fits; the first that fits counts. What none fits fails the spec.
---@param answer rbf.TestReply
function TestHttp:reply(answer) end

---@class rbf.Testing
---@field db rbf.Db without savepoint; each statement stands for itself
---@field http rbf.TestHttp
---@field cache table<string, any> what the cache holds, by key
---@field scheduled rbf.TestScheduled[] all of this spec
---@field pending rbf.TestScheduled[] those that have not run
---@field published { subject: string, payload?: any, raw?: string, headers: table<string, string> }[]
---@field dead rbf.TestOutcome[] what t:drain gave up
local T = {}

--- Runs a mutation to its end: its result (rbf.null when there is none); or nil and why, with all it
--- did undone.
---@param op rbf.Operation|string
---@param options? rbf.TestCall
---@return any result, rbf.TestFailure? err
function T:mutate(op, options) end

--- Runs a query.
---@param op rbf.Operation|string
---@param options? rbf.TestCall
---@return any result, rbf.TestFailure? err
function T:query(op, options) end

--- Runs what was scheduled and is due, and what that schedules, until nothing is left. Failures are
--- tried again as their policy says: the clock moves to that time.
---@return rbf.TestOutcome[]
function T:drain() end

--- Moves the clock. What becomes due, crons too, runs at the next t:drain().
---@param duration rbf.Duration
function T:advance(duration) end

--- The spec's time, ms since the epoch: what rbf.now() gives.
---@return integer
function T:now() end

--- Sets the clock.
---@param ms integer since the epoch
function T:setTime(ms) end

--- A t whose operations begin with more in their initial context.
---@param context table
---@return rbf.Testing
function T:with_context(context) end

--- A t that sends these headers with each request.
---@param headers table<string, string>
---@return rbf.Testing
function T:with_headers(headers) end

--- A function that inserts a row of that table and gives it: defaults, and what it is given over them.
---@param table_name string
---@param defaults? table|fun(n: integer): table
---@return fun(values?: table): table
function T:factory(table_name, defaults) end

return testing
