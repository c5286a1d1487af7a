---@meta _
-- Middleware: a function is a `before`; the table form has hooks around the handler as well.

---@alias rbf.Before fun(r: rbf.Request): { ctx?: table }?
---@alias rbf.Middleware rbf.Before|rbf.Hooks

---@class rbf.Hooks at least one of them
--- In the handler's transaction, in the order of the chain (the queue's, defineBackend's, chained ones),
--- with the input as it was sent. ctx is merged over r.ctx. rbf.fail answers the caller and is not
--- stored. Runs again, alone, before a stored reply is given.
---@field before? rbf.Before
--- In the handler's transaction, backwards, before the output schema is applied. A value that it
--- returns takes the result's place (rbf.null: null); what it raises undoes everything.
---@field after? fun(r: rbf.Request, result: any): any
--- After the rollback, backwards, after each attempt that failed (not after what the host runs again in
--- place: conflicts, and once a broken key), however far it got; r has no db, scheduler and cache. It
--- may put another error in its place, by rbf.fail, rbf.retry or by returning one; else, or when it
--- fails itself, the error stays. Anything it does elsewhere may happen again, as the handler may.
---@field onError? fun(r: rbf.Request, e: rbf.Failure): rbf.MappedError?

---@class rbf.Failure : rbf.Error code, status and message are those that the caller would get
---@field kind "permanent"|"input"|"retry"|"sql"|"error"|"output" rbf.fail; the input schema; rbf.retry; PostgreSQL;
--- any other error; the output schema
---@field internal string the error as the log has it, with file and line: not for callers
---@field traceback? string

---@alias rbf.MappedError rbf.Failure|{ status?: integer, code?: string, message?: string, details?: any }
