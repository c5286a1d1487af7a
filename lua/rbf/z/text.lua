--- z.string, z.email, z.uuid, z.url, z.coerce.string
local host = require "rbf.host"
local errors = require "rbf.errors"
local formats = require "rbf.z.formats"
local is_url = require "rbf.z.url"
local length = require "rbf.z.length"
local schema = require "rbf.z.schema"
local util = require "rbf.util"
local words = require "rbf.z.words"

local issue, add_check = schema.issue, schema.add_check
local methods = length.methods("minLength", "maxLength")

--- One more check: test(v) must hold.
local function format(s, test, message, json)
  return add_check(s, {
    json = json,
    run = function(v, ctx)
      if not test(v) then issue(ctx, "invalid_format", message) end
      return v
    end,
  })
end

function methods:email(message)
  return format(self, formats.email, schema.message(message, "Invalid email", "email()"),
    { format = "email" })
end

function methods:uuid(message)
  return format(self, formats.uuid, schema.message(message, "Invalid UUID", "uuid()"), { format = "uuid" })
end

--- options: a message, or { offset, local, precision, message }.
function methods:datetime(options)
  if type(options) ~= "table" then options = { message = options } end
  local message = schema.message(options.message, "Invalid ISO datetime", "datetime()")
  local strict = not options["local"] and options.precision ~= -1
  return format(self, formats.datetime(options), message, { format = strict and "date-time" or nil })
end

--- White space around it is cut off.
function methods:url(message)
  message = schema.message(message, "Invalid URL", "url()")
  return add_check(self, {
    json = { format = "uri" },
    run = function(v, ctx)
      local trimmed = words.trim(v)
      if not is_url(trimmed) then
        issue(ctx, "invalid_format", message)
        return v
      end
      return (trimmed:gsub("[\t\r\n]", ""))
    end,
  })
end

--- A Lua pattern, or a function of the text.
function methods:regex(pattern, message)
  if type(pattern) == "function" then
    return format(self, pattern, schema.message(message, "Invalid input", "regex()"))
  end
  if type(pattern) ~= "string" then
    errors.misuse("regex() takes a Lua pattern or a function, found %s", util.describe(pattern))
  end
  local ok, why = pcall(string.find, "", pattern)
  if not ok then errors.misuse("regex(): '%s' is no Lua pattern: %s", pattern, why) end
  message = schema.message(message, "Invalid string: must match pattern " .. pattern, "regex()")
  return format(self, function(v) return v:find(pattern) ~= nil end, message)
end

--- Text as a regular expression of JSON Schema that matches itself.
local function escaped(text)
  return (text:gsub("[%^%$%.%*%+%?%(%)%[%]%{%}%|\\/]", "\\%0"))
end

function methods:startsWith(text, message)
  util.check_type(text, "string", "startsWith()")
  message = schema.message(message, ('Invalid string: must start with "%s"'):format(text), "startsWith()")
  return format(self, function(v) return v:sub(1, #text) == text end, message,
    { pattern = "^" .. escaped(text) .. ".*" })
end

function methods:endsWith(text, message)
  util.check_type(text, "string", "endsWith()")
  message = schema.message(message, ('Invalid string: must end with "%s"'):format(text), "endsWith()")
  return format(self, function(v) return text == "" or v:sub(-#text) == text end, message,
    { pattern = ".*" .. escaped(text) .. "$" })
end

function methods:includes(text, message)
  util.check_type(text, "string", "includes()")
  message = schema.message(message, ('Invalid string: must include "%s"'):format(text), "includes()")
  return format(self, function(v) return v:find(text, 1, true) ~= nil end, message,
    { pattern = escaped(text) })
end

--- Methods that change the text for the checks that come after them.
for name, change in pairs { trim = words.trim, toLowerCase = string.lower, toUpperCase = string.upper } do
  methods[name] = function(self)
    return add_check(self, { run = function(v) return change(v) end })
  end
end

local function coerced(v)
  if type(v) == "number" then return words.number(v) end
  if type(v) == "boolean" or v == host.null then return words.literal(v) end
  return v
end

local new = schema.kind {
  name = "string",
  methods = methods,
  compile = function(def)
    local coerce = def.coerce
    return function(v, ctx)
      if coerce then v = coerced(v) end
      if type(v) ~= "string" then schema.issue_type(ctx, "string", v) end
      return v
    end
  end,
  json = function() return { type = "string" } end,
}

local function string() return new() end

return {
  string = string,
  email = function(message) return string():email(message) end,
  uuid = function(message) return string():uuid(message) end,
  url = function(message) return string():url(message) end,
  coerce = function() return new { coerce = true } end,
}
