--- require "rbf.testing": specs of handlers, on the real runtime and a real database. See
--- docs/testing.md. `rbf test` runs them; busted by itself those that need no database.
local host = require "rbf.host"
local cache = require "rbf.testing.cache"
local clock = require "rbf.testing.clock"
local db = require "rbf.db"
local define = require "rbf.define"
local http = require "rbf.testing.http"
local queue = require "rbf.testing.queue"
local registry = require "rbf.registry"
local run = require("rbf.testing.run").run
local session = require "rbf.testing.session"
local texts = require("rbf.scheduler").texts
local blame = require "rbf.testing.blame"
local util = require "rbf.util"
require "rbf.testing.asserts"

local raise = blame.raise

-- ---------------------------------------------------------------- what handlers see of the host

local real_ask, real_here = host.ask, host.here

function host.ask(question, ...)
  if question == "http" then return http.answer(...) end
  if cache[question] then return cache[question](...) end
  if question == "client.send" then
    raise("a spec has no hosts to send to: use t:mutate and t:query")
  end
  return real_ask(question, ...)
end

--- Misuse in a spec blames the spec.
function host.here()
  local path, line, shown = real_here()
  if path then return path, line, shown end
  path, line = blame.place()
  return path, line, path
end

-- ---------------------------------------------------------------- t.db

--- Each statement in a savepoint of its own: one that fails leaves the spec's transaction alone.
local function protected(t, verb, ...)
  local database = db.new "mutation"
  session.use(t.commit)
  if t.commit then return database[verb](database, ...) end
  session.must "SAVEPOINT rbf_spec"
  local results = { n = select("#", ...), pcall(database[verb], database, ...) }
  if not results[1] then session.must "ROLLBACK TO SAVEPOINT rbf_spec" end
  session.must "RELEASE SAVEPOINT rbf_spec"
  if not results[1] then error(results[2], 0) end
  return results[2], results[3]
end

local verbs = {}
for _, verb in ipairs { "query", "one", "exec", "findFirst", "findMany", "insert", "update", "delete" } do
  verbs[verb] = true
end

local function new_db(t)
  local proxy = {}
  return setmetatable(proxy, {
    __index = function(_, verb)
      if not verbs[verb] then
        raise("t.db has no '%s'%s", tostring(verb), util.did_you_mean(tostring(verb), util.sorted_keys(verbs)))
      end
      return function(self, ...)
        if self ~= proxy then raise("use t.db:%s(…), with a colon", verb) end
        return protected(t, verb, ...)
      end
    end,
  })
end

-- ---------------------------------------------------------------- t

local T = {}

--- What t.NAME shows of the spec's state.
local views = { scheduled = "scheduled", pending = "pending", published = "published", dead = "dead" }

T.__index = function(t, key)
  if T[key] then return T[key] end
  if views[key] then return session.state[views[key]] end
  if key == "http" then return http.http end
  if key == "cache" then return cache.view() end
  if key == "db" then
    t.db = new_db(t)
    return t.db
  end
  if key == "context" or key == "commit" or key == "headers" then return nil end
  raise("t has no '%s'%s", tostring(key), util.did_you_mean(tostring(key),
    { "mutate", "query", "drain", "advance", "now", "setTime", "with_context", "with_headers", "db", "http", "cache", "scheduled",
      "pending", "published", "dead", "factory" }))
end

local function check_self(t, verb)
  if type(t) ~= "table" or getmetatable(t) ~= T then raise("use t:%s(…), with a colon, on what testing.load gave", verb) end
end

local function names(kind)
  local list = {}
  for _, op in ipairs(registry.ops) do
    if op.type == kind then list[#list + 1] = op.queue .. "." .. op.path end
  end
  return list
end

--- The operation that "queue.path" names, as defined or with its parameters filled in; and whether
--- they are.
local function find(kind, text)
  for _, op in ipairs(registry.ops) do
    if op.queue .. "." .. op.path == text then return op, false end
  end
  local queue_name, path = text:match "^([^.]+)%.(.+)$"
  local known = registry.queues[queue_name or ""]
  local subject = known and known.subject .. "." .. path
  for _, op in ipairs(registry.ops) do
    if subject and queue.matches(op, subject) then return op, subject end
  end
  raise("t:%s: no operation '%s'%s", kind == "query" and "query" or "mutate", text, util.did_you_mean(text, names(kind)))
end

local function resolve(kind, verb, op)
  local subject
  if type(op) == "string" then op, subject = find(kind, op) end
  if not define.is_op(op) then
    raise('t:%s: expected an operation or "queue.path", found %s', verb, util.describe(op))
  end
  if op.type ~= kind then
    raise("t:%s: %s.%s is a %s: use t:%s", verb, op.queue, op.path, op.type, op.type == "query" and "query" or "mutate")
  end
  return op, subject
end

local option_keys = { input = true, params = true, headers = true, requestId = true, attempt = true }

local function json(verb, v, name)
  local text, why = host.encode(v, name)
  if not text then raise("t:%s: %s", verb, why) end
  return text
end

local function headers_of(t, verb, options)
  local merged = {}
  for _, from in ipairs { t.headers or {}, options.headers or {} } do
    for k, v in pairs(from) do merged[k] = tostring(v) end
  end
  return next(merged) and json(verb, merged, "headers") or "{}"
end

local function request(t, verb, op, subject, options)
  options = options == nil and {} or options
  if type(options) ~= "table" then raise("t:%s: expected { input = …, params = … }, found %s", verb, util.describe(options)) end
  for k in pairs(options) do
    if not option_keys[k] then
      raise("t:%s: unknown key '%s'%s", verb, tostring(k), util.did_you_mean(tostring(k), util.sorted_keys(option_keys)))
    end
  end
  if not subject then
    local why
    subject, why = host.subject(registry.queues[op.queue].subject, op.path, texts(op.path, options.params, "t:" .. verb))
    if not subject then raise("t:%s: %s", verb, why) end
  end
  return {
    subject = subject, input = json(verb, options.input, "input"), headers = headers_of(t, verb, options),
    id = options.requestId or host.uuid(), context = t.context, attempt = options.attempt,
  }
end

local function call(t, kind, verb, op, options)
  check_self(t, verb)
  local subject
  op, subject = resolve(kind, verb, op)
  local ok, value = run(op, request(t, verb, op, subject, options), t.commit)
  if ok then return value end
  return nil, value
end

--- Runs a mutation to its end: its result (rbf.null when there is none); or nil and { code, status, message, issues, … }, with
--- all it did undone.
function T:mutate(op, options) return call(self, "mutation", "mutate", op, options) end

--- Runs a query.
function T:query(op, options) return call(self, "query", "query", op, options) end

--- Runs what was scheduled and is due, and what that schedules, until nothing is left. Failures are
--- tried again as their policy says, the clock moving to that time; t.dead has those that gave up.
--- Gives a list of { op, path, input, params, attempt, ok, result | err }.
function T:drain()
  check_self(self, "drain")
  return queue.drain(function(one)
    return run(one.op, {
      subject = one.subject, input = one.data, headers = json("drain", one.headers, "headers"), id = one.requestId,
      attempt = one.attempt, context = self.context,
    }, self.commit)
  end, raise)
end

--- Moves the clock: t:advance { hours = 1 }. What becomes due runs at the next t:drain().
function T:advance(duration)
  check_self(self, "advance")
  queue.advance(util.duration(duration, "t:advance's argument"), raise)
end

--- The spec's time, ms since the epoch.
function T:now()
  check_self(self, "now")
  return clock.now
end

--- Sets the clock, ms since the epoch. No cron fires for it.
function T:setTime(ms)
  check_self(self, "setTime")
  if type(ms) ~= "number" or ms % 1 ~= 0 or ms <= 0 then
    raise("t:setTime takes ms since the epoch, found %s", util.describe(ms))
  end
  queue.move_clock(ms)
end

local function extended(t, key, more)
  if type(more) ~= "table" then raise("t:with_%s takes a table, found %s", key, util.describe(more)) end
  local result, merged = {}, {}
  for k, v in pairs(t) do result[k] = v end
  for k, v in pairs(t[key] or {}) do merged[k] = v end
  for k, v in pairs(more) do merged[k] = v end
  result[key], result.db = merged, nil
  return setmetatable(result, T)
end

--- A t whose operations begin with more in their initial context (what middleware adds comes later).
function T:with_context(context)
  check_self(self, "with_context")
  return extended(self, "context", context)
end

--- A t that sends these headers with each request: t:with_headers { Authorization = token }.
function T:with_headers(headers)
  check_self(self, "with_headers")
  return extended(self, "headers", headers)
end

--- A function that inserts rows for set-up: local user = t:factory("users", function(n) return
--- { email = "user" .. n .. "@example.com" } end); user { name = "Ada" } gives the row.
function T:factory(name, defaults)
  check_self(self, "factory")
  local n = 0
  return function(values)
    n = n + 1
    local row = {}
    local from = type(defaults) == "function" and defaults(n) or defaults or {}
    for _, t in ipairs { from, values or {} } do
      for k, v in pairs(t) do row[k] = v end
    end
    return self.db:insert(name, row)
  end
end

-- ---------------------------------------------------------------- rbf.testing

local _M = {}

local load_keys = { commit = true }

--- A real host of this app, with a PostgreSQL and a NATS of its own, until the setup, before_each or it
--- that started it ends. For the few specs that want all of it: some 2 s.
function _M.host(app)
  if host.plain then raise "testing.host needs the host: run this spec by `rbf test`, which takes busted's flags, instead of busted" end
  if app ~= nil and type(app) ~= "string" then raise("testing.host takes the app's folder, found %s", util.describe(app)) end
  return require("rbf.testing.host").start(app or host.root, real_ask, function(kind, verb, op, options)
    local t = setmetatable({}, T)
    local subject
    op, subject = resolve(kind, verb, op)
    return request(t, verb, op, subject, options)
  end)
end

local function normal(path) return (path:gsub("/+$", ""):gsub("^%./", "")) end

--- The app under test: t. app: nothing, its folder, or what one of its files returned. `rbf test`
--- has loaded it; options: { commit = true }, a database of its own for each spec, real COMMITs.
function _M.load(app, options)
  if type(app) == "table" and options == nil and app.commit ~= nil then app, options = nil, app end
  if type(app) == "string" and host.root:sub(-#normal(app)) ~= normal(app) and normal(app) ~= "." then
    raise("testing.load: this run has loaded %s; specs of '%s' are run by `rbf test --app %s`", host.root, app, app)
  end
  for k in pairs(options or {}) do
    if not load_keys[k] then raise("testing.load: unknown option '%s' (there is: commit)", tostring(k)) end
  end
  if host.plain then host.load_app() end
  return setmetatable({ commit = options and options.commit or nil }, T)
end

return _M
