---@meta _
-- Annotations of r.scheduler: follow-ups of a mutation.
-- luacheck: ignore 241

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
