--- What the host calls: load, run, classify.
local host = require "rbf.host"
local cron = require "rbf.cron"
local define = require "rbf.define"
local errors = require "rbf.errors"
local hooks = require "rbf.hooks"
local loader = require "rbf.loader"
local modules = require "rbf.modules"
local registry = require "rbf.registry"
local retry = require "rbf.retry"
local run = require "rbf.run"
local sandbox = require "rbf.sandbox"
local util = require "rbf.util"

local _M = { run = run.run, on_error = run.on_error, classify = errors.classify }

local function check_names()
  local by_name = {}
  for _, op in ipairs(registry.ops) do
    local other = op.name and by_name[op.name]
    if other then
      error(("%s: operation '%s' (%s) is called '%s' as well as %s at %s; give one of them a name = \"…\"")
        :format(host.shown(op.file:match "^(.*):" or ""), op.name, op.path, op.name, other.path,
          other.file), 0)
    end
    if op.name then by_name[op.name] = op end
  end
end

local function options_of(backend)
  if backend == nil then return "{}" end
  if not define.is_backend(backend) then
    error(("%s: must return rbf.createBackend(app, {…}), found %s"):format(host.shown "main.lua",
      backend == true and "nothing" or util.describe(backend)), 0)
  end
  local text, why = host.encode(backend.settings, "options")
  if not text then error(host.shown "main.lua" .. ": " .. why, 0) end
  return text
end

--- Loads the app; gives what the host needs to know of it.
function _M.load()
  math.randomseed(host.seed())
  local options = options_of(loader.load(sandbox.new(loader.require)))
  modules.loaded()
  check_names()
  local ops = {}
  for i, op in ipairs(registry.ops) do
    hooks.plan(op)
    ops[i] = {
      type = op.type, queue = op.queue, path = op.path, name = op.name, file = op.file,
      middleware = host.encode(hooks.places(op), "middleware"), example = op.example,
      timeout = op.timeout or registry.queues[op.queue].timeout, group = op.group or registry.queues[op.queue].group,
      on_error = op.on_error[1] ~= nil,
      retry = retry.merge(registry.queues[op.queue].retry, op.retry),
    }
  end
  return { queues = registry.queue_list, ops = ops, crons = cron.plan(), options = options }
end

return _M
