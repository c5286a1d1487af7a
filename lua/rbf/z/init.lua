--- z: schemas for input and output, with zod's vocabulary and messages.
local list = require "rbf.z.list"
local number = require "rbf.z.number"
local text = require "rbf.z.text"
local union = require "rbf.z.union"
local util = require "rbf.util"
local value = require "rbf.z.value"
local wrap = require "rbf.z.wrap"

return util.readonly({
  string = text.string,
  email = text.email,
  uuid = text.uuid,
  url = text.url,
  number = number.number,
  int = number.int,
  boolean = value.boolean,
  null = value.null,
  any = value.any,
  unknown = value.unknown,
  literal = value.literal,
  enum = value.enum,
  array = list.array,
  tuple = list.tuple,
  object = require "rbf.z.object",
  record = require "rbf.z.record",
  union = union.union,
  discriminatedUnion = union.discriminatedUnion,
  lazy = wrap.lazy,
  --- Converts before it checks, by JavaScript's rules.
  coerce = util.closed({
    string = text.coerce, number = number.coerce, boolean = value.coerce,
  }, "z.coerce"),
}, "z")
