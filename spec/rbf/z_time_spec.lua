-- Inputs are hostile: a text as large as a message may be is checked in time in proportion to it. One
-- check that is not takes hours here, and nothing could stop it in a host (patterns run in C).
local rbf = require("spec.rbf.fakehost")()
local z = rbf.z

local SIZE = 1024 * 1024

local schemas = {
  email = z.string():email(), url = z.string():url(), uuid = z.string():uuid(),
  datetime = z.string():datetime { offset = true }, trim = z.string():trim():max(10),
  number = z.coerce.number(), int = z.coerce.number():int(), boolean = z.coerce.boolean(),
  length = z.string():max(5), lower = z.string():toLowerCase():includes "zz",
  union = z.union { z.literal "a", z.string():email() },
}

describe("a megabyte of text", function()
  for name, schema in pairs(schemas) do
    it("is checked: " .. name, function()
      for _, unit in ipairs { "a", "1", " ", ".", "a.", "\194\160" } do
        for _, head in ipairs { "", "http://", "a@", "1e" } do
          for _, tail in ipairs { "x", ".." } do
            local parsed = schema:safeParse(head .. unit:rep(math.floor(SIZE / #unit)) .. tail)
            assert.is_boolean(parsed.success)
          end
        end
      end
    end)
  end
end)
