-- The annotations in lua/rbf/meta against the live modules, both ways: what is there is named, and
-- what is named is there.
local rbf = require("spec.rbf.fakehost")()
local annotations = require "spec.support.annotations"
local host = require "rbf.host"
local registry = require "rbf.registry"

-- Functions of objects that only exist while a script waits for a host: their own specs have them.
local elsewhere = {
  ["rbf.testing"] = true, ["rbf.Testing"] = true, ["rbf.TestHttp"] = true, ["rbf.TestHost"] = true, -- spec/apps/testing
  ["rbf.HttpAnswer"] = true, ["rbf.ClientOperation"] = true, ["rbf.SentRequest"] = true,
}
-- rbf.op["in"] and so on are the same functions as in_: annotations cannot write them with a dot.
local keywords = { ["in"] = true, ["and"] = true, ["or"] = true, ["not"] = true }

local function files()
  local list = {}
  for path in io.popen("ls lua/rbf/meta/*.lua"):lines() do list[#list + 1] = path end
  return list
end

local function read(path)
  local f = assert(io.open(path, "rb"))
  local text = f:read "*a"
  f:close()
  return text
end

local function sorted(set)
  local list = {}
  for name in pairs(set) do list[#list + 1] = name end
  table.sort(list)
  return list
end

--- What can be asked of a live table: of one that is read only its methods, of an object those of
--- its class, else its own keys.
local function members(v)
  local mt = getmetatable(v)
  if type(mt) == "table" and rawget(mt, "methods") then return rawget(mt, "methods") end
  if type(mt) == "table" and rawget(mt, "__index") == mt then return mt end
  return v
end

local function functions(t)
  local set = {}
  for name, v in pairs(t) do
    if type(v) == "function" and not name:find "^__" and not keywords[name] then set[name] = true end
  end
  return set
end

local meta = { classes = {}, aliases = {} }
for _, path in ipairs(files()) do annotations.read(read(path), meta) end

local function compare(class, live)
  local c = assert(meta.classes[class], "no annotations of " .. class)
  assert.same(sorted(functions(live)), sorted(c.functions), class)
end

--- The class of a field, of the class itself or of one it is made of.
local function class_of_field(class, name)
  local c = meta.classes[class]
  if not c then return nil end
  local what = c.fields[name] and c.fields[name][1]:match "^[%w_.]+"
  return what or c.parent and class_of_field(c.parent, name)
end

describe("lua/rbf/meta", function()
  local seen = {}

  local function check(class, live)
    seen[class] = true
    compare(class, members(live))
  end

  it("is Lua in files of at most 300 lines, and one file is the module rbf", function()
    local modules = {}
    for _, path in ipairs(files()) do
      local text = read(path)
      assert(loadstring(text, "@" .. path))
      local _, lines = text:gsub("\n", "")
      assert.is_true(lines <= 300, path .. " is too long: split it by subject")
      local module = text:match "^%-%-%-@meta ([%w_.]+)\n"
      assert.is_string(module, path .. " must begin with ---@meta _")
      if module ~= "_" then
        -- editors take one of them for the module, and the other's functions are gone
        assert.is_nil(modules[module], path .. ": ---@meta " .. module .. " twice; write ---@meta _")
        modules[module] = true
      end
    end
    assert.same({ rbf = true, ["rbf.z"] = true, ["rbf.testing"] = true }, modules)
  end)

  it("names all of rbf", function()
    check("rbf", rbf)
    local class = meta.classes.rbf
    for name, v in pairs(members(rbf)) do
      assert.truthy(class.functions[name] or class.fields[name], "rbf." .. name .. " is not annotated")
      if type(v) == "table" and v ~= rbf.all then
        check(assert(class_of_field("rbf", name)), v)
      end
    end
    for name in pairs(class.fields) do
      assert.not_nil(members(rbf)[name], "rbf." .. name .. " is annotated but not there")
    end
    check("rbf.z.coerce", rbf.z.coerce)
  end)

  it("names what schemas can be asked", function()
    local z, text = rbf.z, rbf.z.string()
    local arguments = {
      literal = { 1 }, enum = { { "a" } }, array = { text }, tuple = { { text } }, object = { {} },
      record = { text, text }, union = { { text } }, lazy = { function() return text end },
      discriminatedUnion = { "k", { z.object { k = z.literal "a" } } },
    }
    seen["rbf.Schema"] = true
    compare("rbf.Schema", require("rbf.z.schema").common)
    for _, maker in ipairs { { "rbf.z", z }, { "rbf.z.coerce", z.coerce } } do
      for name, f in pairs(members(maker[2])) do
        if type(f) == "function" then
          local class = assert(meta.classes[maker[1]].functions[name].returns, name .. " says nothing it returns")
          local own = rawget(f(unpack(arguments[name] or {})), "_kind").methods
          if class == "rbf.Schema" then
            assert.same({}, sorted(functions(own)), "z." .. name)
          else
            assert.equal("rbf.Schema", meta.classes[class].parent)
            seen[class] = true
            compare(class, own)
          end
        end
      end
    end
  end)

  it("names what handlers get", function()
    local stubs = {
      phase = function() end, main = function() return 1 end, finish = function() return true end,
      in_main = function() return true end,
    }
    for name, f in pairs(stubs) do host[name] = rawget(host, name) or f end
    local app = rbf.defineBackend { queues = { meta = {} } }
    check("rbf.App", app)
    local requests, wanted = {}, { mutation = "rbf.MutationRequest", query = "rbf.QueryRequest" }
    for kind, class in pairs(wanted) do
      app[kind](app, "meta", { path = "meta." .. kind, handler = function(r) requests[class] = r end })
      local msg = { headers = {}, operation = "meta", type = kind }
      require("rbf.hooks").plan(registry.ops[#registry.ops])
      require("rbf.run").run(#registry.ops, rbf.null, {}, msg, false)
    end
    for class, r in pairs(requests) do
      for name, v in pairs(r) do
        local of = class_of_field(class, name)
        assert.truthy(of, ("r.%s is not in %s"):format(name, class))
        if type(v) == "table" and getmetatable(v) and name ~= "msg" then check(of, v) end
      end
    end
    local all = setmetatable({ input = true }, { __index = requests["rbf.QueryRequest"] })
    for name in pairs(meta.classes["rbf.Request"].fields) do
      assert.truthy(requests["rbf.MutationRequest"][name] or all[name], "no handler gets r." .. name)
    end
  end)

  it("has no function that is nowhere", function()
    for name, class in pairs(meta.classes) do
      for f, how in pairs(class.functions) do
        assert.truthy(not how.defined or seen[name] or elsewhere[name],
          ("%s has a function %s, but nothing public is of that class"):format(name, f))
      end
    end
  end)
end)
