--- What the app's files define while they load: queues and operations, in the order they appear.
--- One Lua state holds one generation, so this is the generation's list.
local _M = { queues = {}, queue_list = {}, ops = {}, paths = {} }

function _M.add_queue(queue)
  _M.queues[queue.name] = queue
  _M.queue_list[#_M.queue_list + 1] = queue
end

function _M.add_op(op, key)
  _M.ops[#_M.ops + 1] = op
  _M.paths[key] = op
end

--- For specs.
function _M.reset()
  _M.queues, _M.queue_list, _M.ops, _M.paths = {}, {}, {}, {}
end

return _M
