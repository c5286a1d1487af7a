local rbf = require("spec.rbf.fakehost")()
local z = rbf.z
local issues_of = require "spec.rbf.zissues"

describe("checks of text", function()
  local function says(message, s, bad) assert.same({ ": " .. message }, issues_of(s, bad)) end

  it("measure", function()
    local s = z.string():length(3)
    assert.equal("äöü", s:parse "äöü")
    says("Too small: expected string to have exactly 3 characters", s, "ab")
    says("Too big: expected string to have exactly 3 characters", s, "abcd")
    says("Too small: expected string to have >=1 characters", z.string():nonempty(), "")
  end)

  it("look for parts", function()
    says('Invalid string: must start with "a%"', z.string():startsWith "a%", "ab")
    says('Invalid string: must end with "."', z.string():endsWith ".", "ab")
    says('Invalid string: must include "%d"', z.string():includes "%d", "1")
    assert.equal("x.", z.string():endsWith("."):endsWith(""):parse "x.")
  end)

  it("take a Lua pattern or a function", function()
    assert.equal("ab", z.string():regex("^%a+$"):parse "ab")
    says("Invalid string: must match pattern ^%a+$", z.string():regex "^%a+$", "a1")
    says("No vowels", z.string():regex(function(v) return not v:find "[aeiou]" end, "No vowels"), "foo")
  end)

  it("know date-times", function()
    local s = z.string():datetime()
    assert.equal("2024-02-29T12:00:00.5Z", s:parse "2024-02-29T12:00:00.5Z")
    says("Invalid ISO datetime", s, "2023-02-29T12:00:00Z")
    says("Invalid ISO datetime", s, "2024-02-29T12:00:00+02:00")
    assert.equal(0, #issues_of(z.string():datetime { offset = true }, "2024-02-29T12:00:00+02:00"))
    assert.equal(0, #issues_of(z.string():datetime { ["local"] = true }, "2024-02-29T12:00"))
    says("Invalid ISO datetime", z.string():datetime { precision = 3 }, "2024-02-29T12:00:00Z")
  end)

  it("know URLs, and cut white space off", function()
    assert.equal("https://a.de/x?y", z.url():parse " https://a.de/x?y\n")
    says("Invalid URL", z.url(), "a.de")
    says("Invalid URL", z.url(), "http://1.2.3.256")
  end)

  it("change it for the checks that follow, in the order of the calls", function()
    assert.equal("ab", z.string():trim():toLowerCase():max(2):parse "  AB ")
    says("Too big: expected string to have <=2 characters", z.string():max(2):trim(), " AB ")
    assert.equal("\194\161", z.string():trim():parse "\194\160\194\161\226\128\137")
    assert.equal("SS", z.string():toUpperCase():parse "ss")
  end)

  it("say what the caller wants them to say", function()
    says("Too short", z.string():min(2, "Too short"), "a")
    says("No mail", z.string():email { message = "No mail" }, "a")
  end)
end)

describe("checks of numbers", function()
  it("compare", function()
    local cases = {
      { z.number():gt(1), 1, "Too small: expected number to be >1" },
      { z.number():gte(1.5), 1, "Too small: expected number to be >=1.5" },
      { z.number():lt(1), 1, "Too big: expected number to be <1" },
      { z.number():lte(1), 2, "Too big: expected number to be <=1" },
      { z.number():positive(), 0, "Too small: expected number to be >0" },
      { z.number():negative(), 0, "Too big: expected number to be <0" },
      { z.number():nonnegative(), -1, "Too small: expected number to be >=0" },
      { z.number():nonpositive(), 1, "Too big: expected number to be <=0" },
      { z.number():multipleOf(5), 7, "Invalid number: must be a multiple of 5" },
      { z.int(), 2 ^ 53, "Too big: expected int to be <=9007199254740991" },
      { z.number():max(1e21), 1e22, "Too big: expected number to be <=1e+21" },
      { z.number():min(0.1), 0, "Too small: expected number to be >=0.1" },
    }
    for _, case in ipairs(cases) do assert.same({ ": " .. case[3] }, issues_of(case[1], case[2])) end
    assert.equal(0.3, z.number():multipleOf(0.1):parse(0.3))
  end)
end)

describe("z.coerce", function()
  it("converts before it checks", function()
    assert.equal("1.5", z.coerce.string():parse(1.5))
    assert.equal("true", z.coerce.string():parse(true))
    assert.equal(31, z.coerce.number():int():parse " 0x1f ")
    assert.equal(0, z.coerce.number():parse "")
    assert.equal(1, z.coerce.number():parse(true))
    assert.is_true(z.coerce.boolean():parse "false")
    assert.is_false(z.coerce.boolean():parse(rbf.null))
  end)

  it("makes no number of what is none, and no text of tables", function()
    assert.same({ ": Invalid input: expected number, received NaN" }, issues_of(z.coerce.number(), "1x"))
    assert.same({ ": Invalid input: expected number, received NaN" }, issues_of(z.coerce.number(), "nan"))
    assert.same({ ": Invalid input: expected string, received object" }, issues_of(z.coerce.string(), {}))
  end)
end)
