local rbf = require("spec.rbf.fakehost")()
local z, null = rbf.z, rbf.null
local issues_of = require "spec.rbf.zissues"
local validate = require("rbf.z.schema").validate

local function list(...) return rbf.array { ... } end

describe("z.object", function()
  local user = z.object { name = z.string(), age = z.int():optional() }

  it("is strict, passes through or strips", function()
    local v = { name = "a", x = null, y = 1 }
    assert.same({ ': Unrecognized keys: "x", "y"' }, issues_of(user:strict(), v))
    assert.same({ name = "a", x = null, y = 1 }, user:passthrough():parse(v))
    assert.same({ name = "a" }, user:passthrough():strip():parse(v))
  end)

  it("is made of others", function()
    assert.same({}, user:partial():parse {})
    assert.equal(1, #issues_of(user:partial { "age" }, {}))
    assert.same({ name = "a" }, user:pick({ name = true }):parse { name = "a", age = "x" })
    assert.same({ name = "a" }, user:omit({ "age" }):parse { name = "a", age = "x" })
    assert.same({ "name: Invalid input: expected number, received string" },
      issues_of(user:extend { name = z.int() }, { name = "a" }))
    assert.same({ name = "a" }, user:parse { name = "a" })
  end)

  it("wants what is any to be there, in input", function()
    assert.same({ "a: Invalid input: expected nonoptional, received undefined" }, issues_of(z.object { a = z.any() }, {}))
    assert.same({}, issues_of(z.object { a = z.any() }, {}, true))
  end)

  it("is refined when its fields have the right types", function()
    local s = z.object({ a = z.string():min(2), b = z.string() }):refine(function(v) return v.a == v.b end,
      { message = "not the same", path = { "b" } })
    assert.same({ "b: not the same" }, issues_of(s, { a = "xx", b = "y" }))
    assert.same({ "a: Too small: expected string to have >=2 characters", "b: not the same" }, issues_of(s, { a = "x", b = "y" }))
    assert.same({ "a: Invalid input: expected string, received number" }, issues_of(s, { a = 1, b = "y" }))
  end)
end)

describe("z.array", function()
  it("does not look at the items of one that is too long", function()
    local n = 0
    local s = z.array(z.any():refine(function() n = n + 1 return true end)):max(2)
    assert.same({ ": Too big: expected array to have <=2 items" }, issues_of(s, list(1, 2, 3)))
    assert.equal(0, n)
  end)
end)

describe("z.tuple", function()
  it("has a schema for each place", function()
    local s = z.tuple { z.string(), z.int():optional() }
    assert.same({ "a", 1 }, s:parse(list("a", 1)))
    assert.equal(1, #s:parse(list "a"))
    assert.same({ "0: Invalid input: expected string, received number" }, issues_of(s, list(1)))
    assert.same({ ": Too small: expected array to have >=1 items" }, issues_of(s, list()))
    assert.same({ ": Too big: expected array to have <=2 items" }, issues_of(s, list("a", 1, 2)))
    assert.same({ ": Invalid input: expected tuple, received object" }, issues_of(s, {}))
  end)

  it("may go on", function()
    local s = z.tuple({ z.string() }, z.int():nullable())
    assert.same({ "a", 1, null }, s:parse(list("a", 1, null)))
    assert.same({ "2: Invalid input: expected number, received string" }, issues_of(s, list("a", 1, "x")))
  end)
end)

describe("z.record", function()
  it("takes any keys and keeps null", function()
    assert.same({ a = 1, b = null }, z.record(z.string(), z.int():nullable()):parse { a = 1, b = null })
    local _, issues = validate(z.record(z.string():min(2), z.int()), { a = 1 })
    assert.equal("Invalid key in record", issues[1].message)
    assert.same({ "a" }, { unpack(issues[1].path) })
    assert.equal("Too small: expected string to have >=2 characters", issues[1].issues[1].message)
    assert.same({ ": Invalid input: expected record, received array" }, issues_of(z.record(z.string(), z.any()), list()))
  end)

  it("wants all keys that can be listed, and no others", function()
    local s = z.record(z.enum { "a", "b" }, z.int())
    assert.same({ "b: Invalid input: expected number, received undefined", ': Unrecognized key: "c"' },
      issues_of(s, { a = 1, c = 2 }))
  end)

  it("takes keys that are numbers as text", function()
    assert.same({ ["7"] = "x" }, z.record(z.int(), z.string()):parse { ["7"] = "x" })
  end)
end)

describe("z.union", function()
  it("takes the first option that fits", function()
    local s = z.union { z.string():transform(function(v) return #v end), z.string(), z.int() }
    assert.equal(2, s:parse "ab")
    assert.equal(7, s:parse(7))
  end)

  it("reports the branch whose types fit, where it stands", function()
    local s = z.object { pet = z.union { z.object { legs = z.int():min(2) }, z.string() } }
    assert.same({ "pet.legs: Too small: expected number to be >=2" }, issues_of(s, { pet = { legs = 1 } }))
  end)

  it("tells the issues of all when none fits better", function()
    local _, issues = validate(z.object { v = z.union { z.string(), z.int() } }, { v = true })
    assert.equal("invalid_union", issues[1].code)
    assert.equal("Invalid input: expected string, received boolean", issues[1].errors[1][1].message)
    assert.equal("Invalid input: expected number, received boolean", issues[1].errors[2][1].message)
    assert.equal(0, #issues[1].errors[1][1].path)
  end)
end)

describe("z.discriminatedUnion", function()
  local s = z.discriminatedUnion("type", {
    z.object { type = z.literal "circle", r = z.number() },
    z.object { type = z.enum { "box", "cube" }, a = z.number() },
  })

  it("tells objects apart by one field", function()
    assert.same({ type = "cube", a = 1 }, s:parse { type = "cube", a = 1, r = 2 })
    assert.same({ "r: Invalid input: expected number, received undefined" }, issues_of(s, { type = "circle" }))
    assert.same({ "type: Invalid discriminator value. Expected 'circle' | 'box' | 'cube'" }, issues_of(s, { type = "x" }))
  end)

  it("says at its definition when it cannot", function()
    assert.has_error(function() z.discriminatedUnion("type", { z.object { a = z.int() } }) end)
    assert.has_error(function()
      z.discriminatedUnion("type", { z.object { type = z.literal "a" }, z.object { type = z.literal "a" } })
    end)
  end)
end)

describe("z.lazy", function()
  it("lets a schema contain itself", function()
    local tree
    tree = z.object { v = z.int(), kids = z.array(z.lazy(function() return tree end)):optional() }
    assert.same({ v = 1, kids = { { v = 2 } } }, tree:parse { v = 1, kids = list({ v = 2 }) })
    assert.same({ "kids.0.v: Invalid input: expected number, received string" },
      issues_of(tree, { v = 1, kids = list({ v = "x" }) }))
  end)
end)
