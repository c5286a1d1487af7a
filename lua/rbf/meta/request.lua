---@meta _
-- What handlers of the two kinds get. `rbf types` writes more of them: rbf.r.QUEUE.PATH for each
-- operation, with the fields of its input and its parameters.

---@alias rbf.Null userdata rbf.null

---@class rbf.NoParams the path has no parameters

---@class rbf.MutationRequest : rbf.Request
---@field scheduler rbf.Scheduler

---@class rbf.QueryRequest : rbf.Request
---@field scheduler nil queries only read

---@class rbf.MutationDefinition : rbf.Definition
---@field handler fun(r: rbf.MutationRequest): any

---@class rbf.QueryDefinition : rbf.Definition
---@field handler fun(r: rbf.QueryRequest): any
