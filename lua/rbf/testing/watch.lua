--- rbf test --watch, rbf dev --gate: which spec file uses which files. The process that watches names
--- a file where that is kept between runs, and what has changed since.
local host = require "rbf.host"
local loader = require "rbf.loader"

local _M = {}

local kept_in = os.getenv and os.getenv "RBF_TEST_DEPENDS"
local used = {} -- spec file → set of absolute paths
local current

local function absolute(path)
  if path:sub(1, 1) ~= "/" then path = (os.getenv "PWD" or ".") .. "/" .. path end
  return (path:gsub("/%./", "/"):gsub("//+", "/"))
end

function _M.begin(path)
  current = { [absolute(path)] = true }
  used[path] = current
end

local function add(path)
  local full = host.root .. "/" .. path
  if current[full] then return end
  current[full] = true
  for other in pairs(loader.edges[path] or {}) do add(other) end
end

--- The running spec uses one of the app's files, and what that requires.
function _M.uses(path)
  if current then add(path) end
end

--- … or a file of its own.
function _M.uses_outside(path)
  if current then current[absolute(path)] = true end
end

local function read()
  local f = kept_in and io.open(kept_in)
  local text = f and f:read "*a"
  if f then f:close() end
  return text and text ~= "" and host.decode(text) or {}
end

--- Called once at the end. A spec that failed early has not used all it uses: what was known stays.
function _M.finish()
  if not kept_in then return end
  local all = read()
  for path, files in pairs(used) do
    for _, file in ipairs(all[path] or {}) do files[file] = true end
    all[path] = setmetatable({}, host.array_mt)
    for file in pairs(files) do table.insert(all[path], file) end
  end
  local f = assert(io.open(kept_in, "w"))
  f:write((assert(host.encode(all, "dependencies"))))
  f:close()
end

local function touches(files, changed)
  for _, file in ipairs(files) do
    if changed[file] then return true end
  end
end

local function is_there(path)
  local f = io.open(path)
  if f then f:close() end
  return f ~= nil
end

--- busted's arguments with the spec files that depend on what has changed in the place of the paths;
--- nil: all of them (nothing is known, or what has changed is used by none that has run).
function _M.chosen(args)
  local text = kept_in and os.getenv "RBF_TEST_CHANGED"
  if not text or text == "" then return nil end
  local changed, chosen, known, paths, result = {}, {}, {}, {}, {}
  for path in text:gmatch "[^\n]+" do changed[path] = true end
  local function choose(path)
    if not chosen[absolute(path)] and is_there(path) then paths[#paths + 1] = path end
    chosen[absolute(path)] = true
  end
  for path, files in pairs(read()) do
    known[absolute(path)] = true
    if touches(files, changed) then choose(path) end
  end
  if not next(known) then return nil end
  for path in pairs(changed) do
    if path:find "_spec%.lua$" and not known[path] then choose(path) end -- a new one
  end
  if not paths[1] then return nil end
  table.sort(paths)
  for _, word in ipairs(args) do
    if word:sub(1, 1) == "-" then result[#result + 1] = word end
  end
  for _, path in ipairs(paths) do result[#result + 1] = path end
  return result
end

return _M
