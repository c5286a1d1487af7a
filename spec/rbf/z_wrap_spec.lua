local rbf = require("spec.rbf.fakehost")()
local z, null = rbf.z, rbf.null
local issues_of = require "spec.rbf.zissues"
local validate = require("rbf.z.schema").validate

describe("z.literal", function()
  it("takes just these values", function()
    assert.equal(false, z.literal(false):parse(false))
    assert.is_nil(z.literal({ "a", null }):parse(null))
    assert.same({ ': Invalid input: expected "a"' }, issues_of(z.literal "a", "b"))
    assert.same({ ': Invalid option: expected one of "a"|1|null' }, issues_of(z.literal { "a", 1, null }, "b"))
  end)
end)

describe("order", function()
  it("of default and transform", function()
    local function shout(v) return v .. "!" end
    assert.equal("a!", z.string():default("a"):transform(shout):parse(nil))
    assert.equal("a", z.string():transform(shout):default("a"):parse(nil))
  end)

  it("of optional and default", function()
    assert.equal("a", z.string():default("a"):optional():parse(nil))
    assert.equal("a", z.string():optional():default("a"):parse(nil))
  end)

  it("of refine and transform: nothing is called with what is wrong", function()
    local calls = 0
    local s = z.string():min(3):transform(function(v) calls = calls + 1 return #v end)
      :refine(function(n) calls = calls + 1 return n > 3 end, "too few")
    assert.same({ ": Too small: expected string to have >=3 characters" }, issues_of(s, "a"))
    assert.equal(0, calls)
    assert.same({ ": too few" }, issues_of(s, "abc"))
    assert.equal(4, s:parse "abcd")
  end)

  it("of refinements: all run, unless one aborts", function()
    local function no() return false end
    assert.same({ ": one", ": two" }, issues_of(z.string():refine(no, "one"):refine(no, "two"), "x"))
    assert.same({ ": one" }, issues_of(z.string():refine(no, { message = "one", abort = true }):refine(no, "two"), "x"))
  end)

  it("of pipe: the second gets what the first gives, null as null", function()
    local s = z.string():transform(tonumber):pipe(z.int():max(5))
    assert.equal(4, s:parse "4")
    assert.same({ ": Too big: expected number to be <=5" }, issues_of(s, "6"))
    assert.is_nil(z.string():nullable():pipe(z.string():nullable()):parse(null))
  end)
end)

describe("null", function()
  it("is nil for functions and in fields, null in lists and records", function()
    local seen = {}
    local s = z.int():nullable():refine(function(v) seen[1] = v == nil return true end)
    assert.is_nil(z.object({ a = s }):parse({ a = null }).a)
    assert.is_true(seen[1])
    assert.same({ null }, z.array(s):parse(rbf.array { null }))
    assert.same({ a = null }, z.record(z.string(), s):parse { a = null })
    assert.same({ a = null }, z.object({ a = z.any() }):parse { a = null })
    assert.equal("none", z.int():nullable():transform(function(v) return v or "none" end):parse(null))
  end)

  it("is written where nothing was given, unless it may be absent", function()
    local s = z.object {
      a = z.int():nullable(), b = z.int():nullable():optional(), c = z.literal(null),
      d = z.union { z.int(), z.null() }, e = z.int():nullable():default(3),
    }
    assert.same({ a = null, c = null, d = null, e = 3 }, (validate(s, {}, true)))
  end)
end)

describe("misuse", function()
  local function why(fn)
    local ok, message = pcall(fn)
    assert.is_false(ok)
    assert.matches("z_wrap_spec.lua:%d+: ", message)
    return (message:gsub("^.-:%d+: ", ""))
  end

  it("is blamed on its line, with the cure", function()
    assert.equal("call min() before optional(): a schema of kind optional has no 'min'",
      why(function() z.string():nullable():optional():min(2) end))
    assert.equal("a schema of kind string has no 'emial', did you mean 'email'?",
      why(function() z.string():emial() end))
    assert.equal("pick(): the object has no field 'nmae', did you mean 'name'?",
      why(function() z.object({ name = z.string() }):pick { "nmae" } end))
    assert.equal("z.record takes two schemas: z.record(z.string(), value)", why(function() z.record(z.int()) end))
    assert.equal("partial() cannot follow refine() on an object: call partial() first",
      why(function() z.object({}):refine(print):partial() end))
    assert.matches("is no Lua pattern", why(function() z.string():regex "[a" end))
    assert.matches("unknown key 'mesage', did you mean 'message'", why(function() z.any():refine(print, { mesage = "x" }) end))
    assert.equal("z.union takes a list of schemas, found one schema", why(function() z.union(z.string()) end))
    assert.matches("z.coerce has no 'int'", why(function() z.coerce.int() end))
  end)
end)

describe("toJSONSchema", function()
  local function of(s, options)
    local result = s:toJSONSchema(options)
    assert.equal("https://json-schema.org/draft/2020-12/schema", result["$schema"])
    result["$schema"] = nil
    return result
  end

  it("tells input from output", function()
    local s = z.object { a = z.string():email():default "x@y.de", b = z.int():min(1):nullable() }
    local a = { type = "string", format = "email", default = "x@y.de" }
    local b = { anyOf = { { type = "integer", minimum = 1, maximum = 2 ^ 53 - 1 }, { type = "null" } } }
    assert.same({ type = "object", properties = { a = a, b = b }, required = { "a", "b" }, additionalProperties = false }, of(s))
    assert.same({ type = "object", properties = { a = a, b = b }, required = { "b" } }, of(s, { io = "input" }))
  end)

  it("refers to what contains itself", function()
    local tree
    tree = z.object { kids = z.array(z.lazy(function() return tree end)) }
    assert.same({ ["$ref"] = "#" }, of(tree).properties.kids.items)
    local outer = of(z.array(z.lazy(function() return tree end)))
    assert.same({ ["$ref"] = "#/$defs/__schema0" }, outer.items)
    assert.same({ ["$ref"] = "#/$defs/__schema0" }, outer["$defs"].__schema0.properties.kids.items)
  end)

  it("does not invent what a transform gives", function()
    local s = z.string():transform(tonumber)
    assert.same({ type = "string" }, of(s, { io = "input" }))
    assert.has_error(function() s:toJSONSchema() end)
    assert.same({ type = "number" }, of(s:pipe(z.number())))
  end)
end)
