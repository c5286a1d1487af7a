local rbf = require("spec.rbf.fakehost")()
local z, null = rbf.z, rbf.null
local validate = require("rbf.z.schema").validate

local function list(...) return rbf.array { ... } end

--- "path: message" of each issue.
local function issues_of(schema, v)
  local _, issues = validate(schema, v)
  local lines = {}
  for i, issue in ipairs(issues or {}) do
    lines[i] = table.concat(issue.path, ".") .. ": " .. issue.message
  end
  return lines
end

describe("z.string", function()
  it("takes strings only", function()
    assert.equal("x", z.string():parse "x")
    assert.same({ ": Invalid input: expected string, received number" }, issues_of(z.string(), 1))
    assert.same({ ": Invalid input: expected string, received undefined" }, issues_of(z.string(), nil))
    assert.same({ ": Invalid input: expected string, received null" }, issues_of(z.string(), null))
    assert.same({ ": Invalid input: expected string, received array" }, issues_of(z.string(), list()))
    assert.same({ ": Invalid input: expected string, received object" }, issues_of(z.string(), {}))
  end)

  it("counts characters, not bytes", function()
    local s = z.string():min(2):max(3)
    assert.equal("éé", s:parse "éé")
    assert.equal("😀😀😀", s:parse "😀😀😀")
    assert.same({ ": Too small: expected string to have >=2 characters" }, issues_of(s, "é"))
    assert.same({ ": Too big: expected string to have <=3 characters" }, issues_of(s, "abcd"))
  end)

  for _, good in ipairs { "a@b.de", "first.last+tag@sub.example.org", "o'neil@ex-ample.com", "1@2.io" } do
    it("finds an email in " .. good, function()
      assert.equal(good, z.string():email():parse(good))
    end)
  end

  for _, bad in ipairs { "", "a", "a@", "@b.de", "a@b", "a b@c.de", ".a@b.de", "a..b@c.de", "a.@b.de", "a@-b.de",
    "a@b..de", "a@b.d", "a@b.de.", "a@b@c.de" } do
    it("finds no email in " .. ("%q"):format(bad), function()
      assert.same({ ": Invalid email" }, issues_of(z.string():email(), bad))
    end)
  end

  it("knows UUIDs", function()
    local s = z.string():uuid()
    for _, good in ipairs { "018f4e5c-7f00-7000-8000-000000000001", "00000000-0000-0000-0000-000000000000",
      "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF" } do
      assert.equal(good, s:parse(good))
    end
    for _, bad in ipairs { "", "018f4e5c-7f00-7000-8000-00000000000", "018f4e5c-7f00-7000-c000-000000000001",
      "018f4e5c-7f00-0000-8000-000000000001", "018f4e5c7f00-7000-8000-00000000000001",
      "x18f4e5c-7f00-7000-8000-000000000001" } do
      assert.same({ ": Invalid UUID" }, issues_of(s, bad))
    end
  end)

  it("reports all that is wrong", function()
    assert.equal(2, #issues_of(z.string():min(5):email(), "x"))
  end)
end)

describe("z.number", function()
  it("refuses what is no number", function()
    assert.equal(1.5, z.number():parse(1.5))
    assert.same({ ": Invalid input: expected number, received string" }, issues_of(z.number(), "1"))
    assert.same({ ": Invalid input: expected number, received NaN" }, issues_of(z.number(), 0 / 0))
  end)

  it("keeps its bounds", function()
    local s = z.int():min(1):max(10)
    assert.equal(10, s:parse(10))
    assert.same({ ": Too small: expected number to be >=1" }, issues_of(s, 0))
    assert.same({ ": Too big: expected number to be <=10" }, issues_of(s, 11))
    assert.same({ ": Invalid input: expected int, received number" }, issues_of(s, 1.5))
  end)
end)

describe("z.object", function()
  local s = z.object { name = z.string(), tags = z.array(z.object { n = z.int() }):optional() }

  it("leaves unknown keys out and does not change its argument", function()
    local v = { name = "a", extra = 1 }
    assert.same({ name = "a" }, s:parse(v))
    assert.equal(1, v.extra)
  end)

  it("names the path of what is wrong, lists counted from 0 as in JSON", function()
    assert.same({
      "name: Invalid input: expected string, received undefined",
      "tags.1.n: Invalid input: expected number, received string",
    }, issues_of(s, { tags = list({ n = 1 }, { n = "x" }) }))
  end)

  it("is no list", function()
    assert.same({ ": Invalid input: expected object, received array" }, issues_of(s, list(1)))
    assert.same({ ": Invalid input: expected object, received array" }, issues_of(s, list()))
    assert.same({ ": Invalid input: expected object, received null" }, issues_of(s, null))
  end)
end)

describe("z.array", function()
  it("keeps null in its slots and stays a list when empty", function()
    local s = z.array(z.string():nullable())
    local v = s:parse(list("a", null))
    assert.equal(null, v[2])
    assert.equal(getmetatable(rbf.array {}), getmetatable(s:parse(list())))
    assert.same({ ": Invalid input: expected array, received object" }, issues_of(s, {}))
  end)

  it("counts", function()
    local s = z.array(z.any()):min(1):max(2)
    assert.same({ ": Too small: expected array to have >=1 items" }, issues_of(s, list()))
    assert.same({ ": Too big: expected array to have <=2 items" }, issues_of(s, list(1, 2, 3)))
  end)
end)

describe("optional, nullable, default", function()
  it("are told apart in input", function()
    assert.same({}, issues_of(z.object { a = z.int():optional() }, {}))
    assert.same({ "a: Invalid input: expected number, received null" },
      issues_of(z.object { a = z.int():optional() }, { a = null }))
    assert.same({ "a: Invalid input: expected number, received undefined" },
      issues_of(z.object { a = z.int():nullable() }, {}))
    assert.is_nil(z.object { a = z.int():nullable() }:parse({ a = null }).a)
    assert.is_nil(z.int():nullable():optional():parse(nil))
  end)

  it("write null for a nullable nil in output and leave an optional one out", function()
    local s = z.object { a = z.int():nullable(), b = z.int():optional(), c = z.int():nullable():optional() }
    assert.same({ a = null }, (validate(s, {}, true)))
    assert.same({ a = null, c = null }, (validate(s, { c = null }, true)))
  end)

  it("give each use its own default", function()
    local s = z.object { tags = z.any():default({ 1 }), at = z.int():default(function() return 7 end) }
    local a, b = s:parse {}, s:parse {}
    assert.same({ tags = { 1 }, at = 7 }, a)
    assert.are_not.equal(a.tags, b.tags)
  end)

  it("do not change the schema they are called on", function()
    local s = z.int()
    s:optional()
    assert.equal(1, #issues_of(s, nil))
  end)
end)

describe("the others", function()
  it("z.null takes null", function()
    assert.is_nil(z.null():parse(null))
    assert.same({ ": Invalid input: expected null, received string" }, issues_of(z.null(), "x"))
  end)

  it("z.enum names its options", function()
    assert.equal("a", z.enum({ "a", "b" }):parse "a")
    assert.same({ ': Invalid option: expected one of "a"|"b"' }, issues_of(z.enum { "a", "b" }, "c"))
  end)

  it("z.any keeps null", function()
    assert.equal(null, z.any():parse(null))
    assert.is_nil(z.any():parse(nil))
  end)

  it("safeParse tells, parse raises", function()
    assert.same({ success = true, data = true }, z.boolean():safeParse(true))
    local r = z.object({ email = z.string():email() }):safeParse { email = "x" }
    assert.is_false(r.success)
    assert.equal("Invalid input: email: Invalid email", r.error.message)
    assert.has_error(function() z.int():parse "x" end)
  end)

  it("blame the line of a misuse", function()
    local ok, why = pcall(function() z.boolean():min(2) end)
    assert.is_false(ok)
    assert.matches("z_spec.lua:%d+: a schema of kind boolean has no 'min'", why)
    ok, why = pcall(function() z.object { a = "string" } end)
    assert.is_false(ok)
    assert.matches("field 'a' must be a schema such as z.string%(%), found the string \"string\"", why)
    ok, why = pcall(function() z.strng() end)
    assert.is_false(ok)
    assert.matches("z has no 'strng', did you mean 'string'%?", why)
  end)
end)
