-- What rbf.types writes for spec/apps/types: each kind of schema, each name, the same text each time.
local rbf = require("spec.rbf.fakehost")()
local annotations = require "spec.support.annotations"
local registry = require "rbf.registry"
local types = require "rbf.types"

local expected = { -- field: what the handler gets, and what is sent where that differs
  address = { "rbf.input.jobs.kinds.all.address_2", "rbf.sent.jobs.kinds.all.address_2" },
  any = { "any" }, both = { "string", "string|rbf.Null" }, changed = { "any", "string" },
  coerced = { "number", "any" }, default = { "integer" }, either = { "(string|integer)[]" },
  deep = { "rbf.input.jobs.kinds.all.deep", "rbf.sent.jobs.kinds.all.deep" },
  email = { "string" }, empty = { "table" }, ["end"] = { "boolean" },
  few = { '"a"|2|true|number', '"a"|2|true|number|rbf.Null' },
  holes = { "(string|rbf.Null)[]" }, int = { "integer" }, list = { "string[]" },
  listed = { 'table<"x"|"y", number|rbf.Null>' }, matrix = { "integer[][]" }, maybe = { "string" },
  nothing = { "nil", "rbf.Null" }, null = { "string", "string|rbf.Null" },
  nulled = { "integer", "integer|rbf.Null" }, number = { "number" }, ["odd key"] = { "string" },
  one = { '"one"' }, open = { "{ [1]: string, [integer]: integer }" }, pair = { "[string, integer]" },
  partial = { "{ a?: integer, b?: integer }" }, piped = { "number", "string" }, ['quo\\"te'] = { "string" },
  record = { "table<string, integer>" }, refined = { "string" }, rest = { "{ a: integer, [string]: any }" },
  role = { [["admin"|"it's \"quoted\" \\"|"two\010lines"]] }, strict = { "{ a: integer }" },
  small = { '{ a?: string, ["b c"]: integer }' }, text = { "string" },
  told = { '{ kind: "circle", radius: number }|{ kind: "box"|"square", side: number }' },
  tree = { "rbf.input.jobs.kinds.all.tree", "rbf.sent.jobs.kinds.all.tree" },
  union = { "string|{ a: integer }", "string|{ a: integer }|rbf.Null" }, unknown = { "any" },
  url = { "string" }, uuid = { "string" }, when = { "string" }, wide = { "integer" }, yes = { "boolean" },
}
local may_lack = { -- got, sent
  both = { true, true }, maybe = { true, true }, default = { false, true }, few = { true, false },
  null = { true, false }, nulled = { true, true }, union = { true, false },
}

describe("rbf.types", function()
  local text, found

  setup(function()
    registry.reset()
    local result = assert(loadfile "spec/apps/types/app.lua")()
    for name, op in pairs(result) do op.name = name end
    text = types.write()
    found = annotations.read(text)
  end)

  it("writes Lua that does nothing", function()
    assert(loadstring(text))
    for line in text:gmatch "[^\n]+" do assert.equal("--", line:sub(1, 2), line) end
  end)

  it("has a rule for each kind of schema, and the spec's app an example of it", function()
    local text_schema, kinds = rbf.z.string(), { pipe = true, transform = true }
    local arguments = {
      literal = { 1 }, enum = { { "a" } }, array = { text_schema }, tuple = { { text_schema } }, object = { {} },
      record = { text_schema, text_schema }, union = { { text_schema } }, lazy = { function() return text_schema end },
      discriminatedUnion = { "k", { rbf.z.object { k = rbf.z.literal "a" } } },
    }
    for name, f in pairs(getmetatable(rbf.z).methods) do
      if type(f) == "function" then kinds[rawget(f(unpack(arguments[name] or {})), "_kind").name] = true end
    end
    for _, name in ipairs { "optional", "nullable" } do kinds[name] = true end
    kinds.default = true
    local function collect(s, into, seen)
      if type(s) ~= "table" or seen[s] then return end
      seen[s] = true
      local kind = rawget(s, "_kind")
      if kind then
        into[kind.name] = true
        if kind.resolve then collect(kind.resolve(s._def), into, seen) end
        s = s._def
      end
      for _, part in pairs(s) do collect(part, into, seen) end
    end
    local used = {}
    for _, op in ipairs(registry.ops) do collect(op.input, used, {}) end
    for kind in pairs(kinds) do
      assert.is_function(require("rbf.types.shape").rules[kind], kind)
      assert.is_true(used[kind], "no example of " .. kind)
    end
  end)

  it("gives each field the type that the handler sees, and the one that is sent", function()
    for i, class in ipairs { "rbf.input.jobs.kinds.all", "rbf.sent.jobs.kinds.all" } do
      local fields = found.classes[class].fields
      for name, what in pairs(expected) do
        assert.same({ what[i] or what[1] }, fields[name], class .. " " .. name)
        local key = name:find "^%a+$" and name ~= "end" and name or ('["%s"]'):format(name)
        local lacks = may_lack[name] and may_lack[name][i]
        assert.truthy(text:find(("\n---@field %s%s %s\n"):format(key, lacks and "?" or "", what[i] or what[1]), 1, true),
          class .. " " .. name)
      end
      for name in pairs(fields) do assert.truthy(expected[name], name) end
    end
  end)

  it("lets schemas contain themselves", function()
    local tree = found.classes["rbf.input.jobs.kinds.all.tree"].fields
    assert.same({ children = { "rbf.input.jobs.kinds.all.tree[]" }, name = { "string" } }, tree)
    assert.equal("string|rbf.input.jobs.kinds.all.deep[]", found.aliases["rbf.input.jobs.kinds.all.deep"])
  end)

  it("ends where a lazy schema makes a new one each time", function()
    local function make() return rbf.z.array(rbf.z.lazy(make)) end
    local written = require("rbf.types.shape").declare(make(), "got", "x", require("rbf.types.text").names())
    assert.truthy(written:find("any[]", 1, true))
  end)

  it("gives each operation its r", function()
    local function request(name) return assert(found.classes["rbf.r." .. name], name) end
    assert.equal("rbf.MutationRequest", request("jobs.kinds.all").parent)
    assert.same({ "rbf.input.jobs.kinds.all" }, request("jobs.kinds.all").fields.input)
    assert.same({ "rbf.NoParams" }, request("jobs.kinds.all").fields.params)
    assert.equal("rbf.QueryRequest", request("jobs.kinds.none.id.of.end").parent)
    assert.same({ "nil" }, request("jobs.kinds.none.id.of.end").fields.input)
    assert.same({ '{ id: string, ["end"]: string }' }, request("jobs.kinds.none.id.of.end").fields.params)
    assert.same({ "rbf.NoParams" }, request("jobs.kinds.none.id.of.end_2").fields.params)
    assert.truthy(text:find("\n---@field input? rbf.input.more-jobs.kinds.text\n", 1, true))
    assert.equal("rbf.MutationRequest", request("jobs.kinds.nameless").parent)
    -- a nested table's class does not take the name of another operation's
    assert.same({ "rbf.input.jobs.kinds.all.address" }, request("jobs.kinds.all.address").fields.input)
    assert.same({ "string" }, found.classes["rbf.input.jobs.kinds.all.address"].fields.name)
  end)

  it("says what the client takes and gives", function()
    assert.same({ everything = { "rbf.client.jobs.kinds.all" }, twin = { "rbf.client.jobs.kinds.none.id.of.end_2" },
      ["nested-op"] = { "rbf.client.jobs.kinds.all.address" } }, found.classes["rbf.Mutations"].fields)
    assert.same({ none = { "rbf.client.jobs.kinds.none.id.of.end" }, text = { "rbf.client.more-jobs.kinds.text" } },
      found.classes["rbf.Queries"].fields)
    local function overload(name) return found.classes["rbf.client." .. name].overloads[1] end
    assert.equal("fun(options: rbf.call.jobs.kinds.all): rbf.output.jobs.kinds.all", overload "jobs.kinds.all")
    assert.equal("fun(options?: rbf.call.more-jobs.kinds.text): rbf.output.more-jobs.kinds.text?",
      overload "more-jobs.kinds.text")
    assert.same({ "rbf.sent.jobs.kinds.all" }, found.classes["rbf.call.jobs.kinds.all"].fields.input)
    assert.same({ '{ id: string|integer, ["end"]: string|integer }' },
      found.classes["rbf.call.jobs.kinds.none.id.of.end"].fields.params)
    assert.same({ "string|rbf.Null" }, found.classes["rbf.output.jobs.kinds.all"].fields.note)
  end)

  it("gives the same text whatever the order of the files", function()
    local reversed = {}
    for i, op in ipairs(registry.ops) do reversed[#registry.ops + 1 - i] = op end
    local ops = registry.ops
    registry.ops = reversed
    local again = types.write()
    registry.ops = ops
    assert.equal(text, again)
  end)
end)
