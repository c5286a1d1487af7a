--- Is a history of transactions serializable? From the versions of rows that each read and wrote: an
--- edge for each dependency (wrote before it was read, wrote before it was overwritten, was read
--- before it was overwritten); the history is serializable when they form no cycle.
local _M = {}

local function group(rows, by)
  local groups = {}
  for _, row in ipairs(rows) do
    local key = by(row)
    groups[key] = groups[key] or {}
    table.insert(groups[key], row)
  end
  return groups
end

local function cell(row)
  return row.account .. "@" .. row.version
end

local function next_cell(row)
  return row.account .. "@" .. (tonumber(row.version) + 1)
end

local function edges_of(reads, writes)
  local edges, writer, readers = {}, group(writes, cell), group(reads, cell)
  local function add(from, to, why)
    if from ~= to then
      edges[from] = edges[from] or {}
      edges[from][to] = why
    end
  end
  for _, row in ipairs(reads) do
    for _, w in ipairs(writer[cell(row)] or {}) do add(w.request_id, row.request_id, "read its " .. cell(row)) end
  end
  for _, row in ipairs(writes) do
    for _, w in ipairs(writer[next_cell(row)] or {}) do add(row.request_id, w.request_id, "overwrote its " .. cell(row)) end
    local before = row.account .. "@" .. (tonumber(row.version) - 1)
    for _, r in ipairs(readers[before] or {}) do add(r.request_id, row.request_id, "overwrote what it read, " .. before) end
  end
  return edges
end

-- Depth first, without recursion: histories are long chains.
local function find_cycle(edges)
  local state = {} -- nil: new, 1: on the path, 2: done
  for start in pairs(edges) do
    local path = state[start] and {} or { { node = start, key = nil } }
    if path[1] then state[start] = 1 end
    while #path > 0 do
      local top = path[#path]
      local to = next(edges[top.node] or {}, top.key)
      top.key = to
      if not to then
        state[top.node] = 2
        path[#path] = nil
      elseif state[to] == 1 then
        path[#path + 1] = { node = to }
        return path
      elseif not state[to] then
        state[to] = 1
        path[#path + 1] = { node = to }
      end
    end
  end
end

--- reads, writes: rows {request_id, account, version} of committed transactions; a write's version is
--- the one it made. nil, or a text that tells a cycle.
function _M.find(reads, writes)
  local edges = edges_of(reads, writes)
  local path = find_cycle(edges)
  if not path then return nil end
  local words, first = {}, 1
  for i, step in ipairs(path) do
    if step.node == path[#path].node and i < #path then first = i end
  end
  for i = first, #path - 1 do
    local a, b = path[i].node, path[i + 1].node
    words[#words + 1] = ("%s %s of %s"):format(b, edges[a][b], a)
  end
  return table.concat(words, "; ")
end

return _M
