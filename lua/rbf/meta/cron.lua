---@meta _
-- Annotations of app:cron.
-- luacheck: ignore 241

---@class rbf.App
local App = {}

---@class rbf.CronOptions
---@field input? any checked against the operation's schema while the app loads
---@field params? table<string, string|integer> of the operation's path
---@field tz? string an IANA time zone, "Europe/Berlin"; default "UTC"
---@field name? string unique; default: the operation's "queue.path". Slots are counted by it
---@field missed? "once"|"skip" of slots that nobody was there to fire: the latest (default), or none

--- Runs a mutation at the times a spec names, each once however many hosts there are. Its request id
--- is "cron:<name>:<slot>". A spec is "minute hour day-of-month month day-of-week", or six fields with
--- seconds first, or one of @yearly @annually @monthly @weekly @daily @midnight @hourly.
---@param spec string
---@param op rbf.Operation|string a mutation, or the "queue.path" of one
---@param options? rbf.CronOptions
---@return string name
function App:cron(spec, op, options) end
