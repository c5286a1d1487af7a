--- rbf.defineBackend, app:middleware, app:mutation, app:query, rbf.createBackend.
local host = require "rbf.host"
local cache = require "rbf.cache"
local errors = require "rbf.errors"
local hooks = require "rbf.hooks"
local modules = require "rbf.modules"
local queue = require "rbf.queue"
local registry = require "rbf.registry"
local retry = require "rbf.retry"
local schema = require "rbf.z.schema"
local util = require "rbf.util"

local misuse = errors.misuse
local _M = {}

--- An operation; what app:mutation and app:query give back.
local Op = { __name = "rbf.operation" }
Op.__index = Op
Op.__tostring = function(op) return ("%s %s.%s"):format(op.type, op.queue, op.path) end

function _M.is_op(v)
  return type(v) == "table" and getmetatable(v) == Op
end

local definition_keys = {
  path = true, input = true, output = true, handler = true, timeout = true, name = true,
  example = true, retry = true, jit = true, cache = true,
  group = true,
}

--- The path with its parameter names blotted out: two paths with the same one match the same.
local function shape(path)
  return (path:gsub("%$[^.]*", "$"))
end

local function check_unique(op, key)
  local other = registry.paths[key]
  if not other then return end
  if other.path == op.path then
    misuse("path '%s' on queue '%s' is defined already, at %s", op.path, op.queue, other.file)
  end
  misuse("path '%s' matches the same subjects as '%s' (%s): use the same parameter names in one "
    .. "definition, or another path", op.path, other.path, other.file)
end

local function check_definition(what, queue_name, def)
  util.check_type(def, "table", what .. ": the definition")
  util.check_keys(def, definition_keys, what)
  util.check_type(def.path, "string", what .. ": path")
  local ok, why = host.check_path(def.path)
  if not ok then misuse("%s", why) end
  if type(def.handler) ~= "function" then
    misuse("%s '%s': handler must be a function, found %s", what, def.path, util.describe(def.handler))
  end
  if def.input ~= nil then schema.expect(def.input, def.path .. ": input") end
  if def.output ~= nil then schema.expect(def.output, def.path .. ": output") end
  if def.jit ~= nil then util.check_type(def.jit, "boolean", def.path .. ": jit") end
  if def.name ~= nil and (type(def.name) ~= "string" or def.name == "") then
    misuse("%s '%s': name must be a string, found %s", what, def.path, util.describe(def.name))
  end
  if not registry.queues[queue_name] then
    misuse("unknown queue '%s'%s (defineBackend knows: %s)", tostring(queue_name),
      util.did_you_mean(queue_name, util.sorted_keys(registry.queues)),
      table.concat(util.sorted_keys(registry.queues), ", "))
  end
end

--- An input that the schema takes, as JSON text: what `rbf dev` says to try.
local function example_text(def)
  if def.example == nil then return nil end
  local checked = def.input and def.input:safeParse(def.example)
  if checked and not checked.success then
    misuse("'%s': example does not fit its own input schema: %s", def.path, checked.error.message)
  end
  local text, why = host.encode(def.example, "example")
  if not text then misuse("'%s': %s", def.path, why) end
  return text
end

local App = util.closed({}, "an app")
App.__index = App

local function check_app(app, verb)
  if type(app) ~= "table" or getmetatable(app) ~= App then
    misuse("use app:%s(…), with a colon, on what rbf.defineBackend gave", verb)
  end
end

--- "users.lua:14" of the definition. (A file that is `return app:mutation(…)` has left the stack.)
local function place(handler)
  local path, line = host.here()
  if not path then
    local info = debug.getinfo(handler, "S")
    path, line = info.source:sub(#host.root + 3), info.linedefined
  end
  return ("%s:%d"):format(path, line)
end

local function define(app, kind, queue_name, def)
  check_app(app, kind)
  check_definition("app:" .. kind, queue_name, def)
  if not app.backend.queues[queue_name] then
    misuse("queue '%s' belongs to another defineBackend", queue_name)
  end
  local op = setmetatable({
    type = kind,
    queue = queue_name,
    path = def.path,
    name = def.name,
    input = def.input,
    output = def.output,
    handler = def.handler,
    timeout = def.timeout and util.timeout(def.timeout, def.path .. ": timeout"),
    group = def.group ~= nil and queue.check_group(def.group, def.path .. ": group") or nil,
    retry = def.retry ~= nil and retry.read(def.retry, def.path .. ": retry") or nil,
    example = example_text(def),
    cache = cache.policy(kind, def),
    file = place(def.handler),
    backend = app.backend,
    chain = app.chain,
  }, Op)
  if kind == "query" and def.retry ~= nil then
    misuse("app:query '%s': a failing query is answered at once, and has no retry policy", def.path)
  end
  if kind == "query" and def.group ~= nil then
    misuse("app:query '%s': only mutations share a transaction; take `group` away", def.path)
  end
  if def.jit then host.jit_on(def.handler) end
  local key = queue_name .. "." .. shape(def.path)
  check_unique(op, key)
  registry.add_op(op, key)
  return op
end

--- Defines an operation that changes something.
function App:mutation(queue_name, def) return define(self, "mutation", queue_name, def) end

--- Defines an operation that only reads.
function App:query(queue_name, def) return define(self, "query", queue_name, def) end

--- Runs a mutation at the times a cron spec names: app:cron("0 3 * * *", cleanup, { tz = … }).
function App:cron(spec, op, options)
  check_app(self, "cron")
  return require("rbf.cron").add(spec, op, options)
end

local function new_app(backend, chain)
  return setmetatable({ backend = backend, chain = chain }, App)
end

--- A new app whose operations run fn, or { before =, after =, onError = }, around their handlers;
--- this one stays as it is.
function App:middleware(part)
  check_app(self, "middleware")
  local chain = { unpack(self.chain) }
  chain[#chain + 1] = hooks.part(part, "app:middleware's argument")
  return new_app(self.backend, chain)
end

local function add_queue(backend, name, options)
  local q = queue.new(name, options)
  for _, other in ipairs(registry.queue_list) do
    if other.name == q.name then misuse("queue '%s' is defined already", q.name) end
    if other.subject == q.subject then
      misuse("queues '%s' and '%s' have the same subject '%s'", other.name, q.name, q.subject)
    end
  end
  backend.queues[name] = q
  registry.add_queue(q)
end

--- Declares the app: { queues = { jobs = {} }, context = {…}, middleware = fn, modules = {…} }.
function _M.defineBackend(options)
  util.check_type(options, "table", "rbf.defineBackend's argument")
  util.check_keys(options, { queues = true, context = true, middleware = true, modules = true },
    "rbf.defineBackend")
  util.check_type(options.queues, "table", "rbf.defineBackend: queues")
  if next(options.queues) == nil then
    misuse("rbf.defineBackend: queues is empty, name at least one: queues = { jobs = {} }")
  end
  local backend = { queues = {}, context = {} }
  if options.context ~= nil then
    backend.context = util.check_type(options.context, "table", "rbf.defineBackend: context")
  end
  for _, name in ipairs(util.sorted_keys(options.queues)) do
    add_queue(backend, name, options.queues[name])
  end
  local chain = {}
  if options.middleware ~= nil then
    chain[1] = hooks.part(options.middleware, "rbf.defineBackend: middleware")
  end
  modules.allow(options.modules, "rbf.defineBackend: modules")
  return new_app(backend, chain)
end

local Backend = { __name = "rbf.backend" }

function _M.is_backend(v)
  return type(v) == "table" and getmetatable(v) == Backend
end

local function apply_options(backend, options)
  if options.context ~= nil then
    util.check_type(options.context, "table", "rbf.createBackend: context")
    local merged = {}
    for k, v in pairs(backend.context) do merged[k] = v end
    for k, v in pairs(options.context) do merged[k] = v end
    backend.context = merged
  end
  if options.queues ~= nil then
    util.check_type(options.queues, "table", "rbf.createBackend: queues")
    for name, changes in pairs(options.queues) do
      if not backend.queues[name] then
        misuse("rbf.createBackend: unknown queue '%s'%s", tostring(name),
          util.did_you_mean(name, util.sorted_keys(backend.queues)))
      end
      queue.apply(backend.queues[name], changes)
    end
  end
end

--- What main.lua returns: the app with its settings (db, nats, namespace, …) and initial context.
function _M.createBackend(app, options)
  if type(app) ~= "table" or getmetatable(app) ~= App then
    misuse("rbf.createBackend's first argument must be an app, found %s", util.describe(app))
  end
  options = options == nil and {} or util.check_type(options, "table", "rbf.createBackend's options")
  apply_options(app.backend, options)
  modules.allow(options.modules, "rbf.createBackend: modules")
  local settings = {}
  for k, v in pairs(options) do
    if k ~= "context" and k ~= "queues" and k ~= "modules" then
      if type(v) == "table" or type(v) == "function" or type(v) == "userdata" then
        misuse("rbf.createBackend: %s must be a string, number or boolean, found a %s", tostring(k), type(v))
      end
      settings[tostring(k)] = v
    end
  end
  local client = require("rbf.client").backend
  return setmetatable({
    app = app, settings = settings, mutations = client.mutations, queries = client.queries,
    cancel = client.cancel,
  }, Backend)
end

return _M
