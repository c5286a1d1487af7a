-- Every kind of schema and of path, for the specs of `rbf types`.
local rbf = require "rbf"
local z = rbf.z

local app = rbf.defineBackend { queues = { jobs = {}, ["more-jobs"] = { subject = "more" } } }

local tree
tree = z.object { name = z.string(), children = z.array(z.lazy(function() return tree end)) }
local deep
deep = z.lazy(function() return z.union { z.string(), z.array(deep) } end)

local everything = app:mutation("jobs", {
  path = "kinds.all",
  input = z.object {
    text = z.string():min(1), email = z.email(), uuid = z.uuid(), url = z.url(), when = z.string():datetime(),
    number = z.number():positive(), int = z.int(), wide = z.number():int(), yes = z.boolean(), nothing = z.null(),
    any = z.any(), unknown = z.unknown(), one = z.literal "one", few = z.literal { "a", 2, true, 2.5, rbf.null },
    role = z.enum { "admin", [[it's "quoted" \]], "two\nlines" },
    list = z.array(z.string()), holes = z.array(z.string():nullable()), matrix = z.array(z.array(z.int())),
    either = z.array(z.union { z.string(), z.int() }),
    pair = z.tuple { z.string(), z.int() }, open = z.tuple({ z.string() }, z.int()),
    record = z.record(z.string(), z.int()), listed = z.record(z.enum { "x", "y" }, z.number():nullable()),
    union = z.union { z.string(), z.object { a = z.int() }, z.null() },
    told = z.discriminatedUnion("kind", {
      z.object { kind = z.literal "circle", radius = z.number() },
      z.object { kind = z.enum { "box", "square" }, side = z.number() },
    }),
    address = z.object {
      street = z.string(), city = z.string(), zip = z.string():optional(), country = z.enum { "DE", "FR" },
    },
    small = z.object { a = z.string():optional(), ["b c"] = z.int() },
    empty = z.object {}, strict = z.object { a = z.int() }:strict(), rest = z.object { a = z.int() }:passthrough(),
    maybe = z.string():optional(), null = z.string():nullable(), both = z.string():nullable():optional(),
    default = z.int():default(7), nulled = z.int():nullable():default(rbf.null),
    coerced = z.coerce.number(), changed = z.string():transform(tonumber),
    piped = z.string():transform(tonumber):pipe(z.number()), refined = z.string():refine(function() return true end),
    tree = tree, deep = deep, partial = z.object { a = z.int(), b = z.int() }:partial(),
    ["end"] = z.boolean(), ["odd key"] = z.string(), ["quo\"te"] = z.string(),
  },
  output = z.object { id = z.string(), note = z.string():nullable(), tree = tree:optional() },
  ---@param r rbf.r.jobs.kinds.all
  handler = function(r) return { id = r.input.text } end,
})

local none = app:query("jobs", { path = "kinds.none.$id.of.$end", handler = function(r) return r.params.id end })
local text = app:query("more-jobs", {
  path = "kinds.text", input = z.string():optional(), output = z.array(tree):nullable(),
  handler = function() end,
})
local twin = app:mutation("jobs", { path = "kinds.none.id.of.end", handler = function() end })
local nested = app:mutation("jobs", { -- its name is that of a nested table of kinds.all
  path = "kinds.all.address", input = tree, handler = function(r) return r.input.name end,
})

app:mutation("jobs", { path = "kinds.nameless", handler = function() end })
return { everything = everything, none = none, text = text, twin = twin, ["nested-op"] = nested }
