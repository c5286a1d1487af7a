local rbf = require("spec.rbf.fakehost")()
local host = require "rbf.host"

local asked, answer

-- What the host would be asked, and what it would say.
function host.ask(...)
  asked = { n = select("#", ...), ... }
  return unpack(answer, 1, 5)
end

-- The fake host cannot read JSON; its own text will do.
local cjson = require "cjson"
function host.decode(text)
  local ok, v = pcall(cjson.decode, text)
  if ok then return v end
  return nil, "it ends too early"
end

local function request(o)
  return rbf.http.request(o)
end

describe("rbf.http", function()
  before_each(function()
    asked, answer = nil, { true, 200, "content-type: text/plain\n", "hello", "http://h/" }
  end)

  describe("request", function()
    it("asks the host, with defaults", function()
      request { url = "http://h/" }
      assert.same({ "http", "GET", "http://h/", nil, nil, 10000, 5, 8388608, n = 8 }, asked)
    end)

    it("asks for what is given", function()
      request {
        url = "HTTPS://h/?q=%20", method = "put", headers = { A = "b", ["X-N"] = 7 }, body = "a\0b",
        timeout = { seconds = 3 }, redirects = 0, maxBytes = 10,
      }
      assert.same({ A = "b", ["X-N"] = "7" }, cjson.decode(asked[4]))
      asked[4] = "headers"
      assert.same({ "http", "PUT", "HTTPS://h/?q=%20", "headers", "a\0b", 3000, 0, 10, n = 8 }, asked)
    end)

    it("sends JSON of any value", function()
      request { url = "http://h/", method = "POST", json = { a = 1 } }
      assert.equal('{"a":1}', asked[5])
      assert.same({ ["Content-Type"] = "application/json" }, cjson.decode(asked[4]))
      request { url = "http://h/", method = "POST", json = false }
      assert.equal("false", asked[5])
      request { url = "http://h/", method = "POST", json = rbf.null, headers = { ["content-type"] = "x/y" } }
      assert.equal("null", asked[5])
      assert.same({ ["content-type"] = "x/y" }, cjson.decode(asked[4]))
    end)

    local url = "http://h/"
    for _, case in ipairs {
      { nil, "rbf.http.request's argument must be a table, found nil" },
      { "http://h/", "must be a table, found the string" },
      { {}, "rbf.http.request: url must be a string, found nil" },
      { { url = "h/x" }, 'url must begin with https:// or http:// and a host, found the string "h/x"' },
      { { url = "ftp://h/?token=1" }, 'and a host, found the string "ftp://h/"' },
      { { url = "http:///x" }, "and a host" },
      { { url = "http://h/a b" }, "percent-encode it (%20)" },
      { { url = "http://h/a\r\nX: y" }, "white space or a control character" },
      { { url = url, metod = "GET" }, "unknown key 'metod', did you mean 'method'?" },
      { { url = url, method = "POTS" }, "unknown method 'POTS', did you mean 'POST'?" },
      { { url = url, method = 1 }, "method must be a string, found the number 1" },
      { { url = url, body = "x" }, 'a GET has no body; did you mean method = "POST"?' },
      { { url = url, method = "POST", body = {} }, "body (json takes other values) must be a string, found a table" },
      { { url = url, method = "POST", body = "x", json = 1 }, "body or json, not both" },
      { { url = url, method = "POST", json = print }, "rbf.http.request: " },
      { { url = url, headers = "A: b" }, "headers must be a table" },
      { { url = url, headers = { "A: b" } }, "found the key 1" },
      { { url = url, headers = { A = true } }, "header 'A' must be a string, found the boolean true" },
      { { url = url, headers = { A = "b\r\nC: d" } }, "header 'A' has a line break" },
      { { url = url, headers = { A = "b\0" } }, "header 'A' has a line break" },
      { { url = url, headers = { ["content-Length"] = 1 } }, "header 'content-Length' is set by the host" },
      { { url = url, timeout = 5 }, "timeout must be a duration such as { seconds = 30 }" },
      { { url = url, timeout = { ms = 0 } }, "timeout must be from 1 ms" },
      { { url = url, redirects = 21 }, "redirects must be a whole number from 0 to 20, found the number 21" },
      { { url = url, maxBytes = 0.5 }, "maxBytes must be a whole number from 1" },
    } do
      it("refuses: " .. case[2], function()
        local ok, message = pcall(request, case[1])
        assert.is_false(ok)
        assert.matches("^spec/rbf/http_spec.lua:%d+: ", message)
        assert.is_truthy(message:find(case[2], 1, true), message)
        assert.is_nil(message:find("\n", 1, true))
        assert.is_nil(message:find("token", 1, true))
        assert.is_nil(asked)
      end)
    end

    it("is no method, and rbf.http has nothing else", function()
      local ok, message = pcall(function() rbf.http:request {} end)
      assert.is_false(ok)
      assert.matches("^spec/rbf/http_spec.lua:%d+: use rbf.http.request { … }, with a dot$", message)
      ok, message = pcall(function() return rbf.http.reqest end)
      assert.is_false(ok)
      assert.matches("rbf.http has no 'reqest', did you mean 'request'%?", message)
      assert.is_false(pcall(function() rbf.http.request = print end))
    end)

    it("says where nobody can wait", function()
      answer = { nil }
      assert.matches("works inside a handler only", select(2, pcall(request, { url = url })))
    end)

    it("raises errors with a code, and misuse the host has found", function()
      answer = { false, "GET http://h:80: no answer within 10 ms", "HTTP_TIMEOUT" }
      local _, e = pcall(request, { url = url })
      assert.equal(rbf.Error, getmetatable(e))
      assert.equal("HTTP_TIMEOUT", e.code)
      assert.matches("^spec/rbf/http_spec.lua:%d+: HTTP_TIMEOUT: GET http://h:80: no answer", tostring(e))
      answer = { false, "header 'x y' cannot be sent" }
      assert.matches("^spec/rbf/http_spec.lua:%d+: rbf.http.request: header 'x y'", select(2, pcall(request, { url = url })))
    end)
  end)

  describe("an answer", function()
    it("has status, body, url and headers whatever their case", function()
      answer[3] = "x-one: 1\nx-one: 2: 3\nset-cookie: a=1, b\nset-cookie: c\nempty: \n"
      local res = request { url = "http://h/" }
      assert.same({ 200, "hello", "http://h/" }, { res.status, res.body, res.url })
      assert.equal("1, 2: 3", res.headers["X-One"])
      assert.equal("a=1, b\nc", res.headers["Set-Cookie"])
      assert.equal("", res.headers.Empty)
      assert.is_nil(res.headers.Absent)
    end)

    it("reads JSON", function()
      answer[4] = '{"a":[1]}'
      assert.same({ a = { 1 } }, request { url = "http://h/" }:json())
      answer[4] = "{"
      local _, e = pcall(function() return request { url = "http://h/" }:json() end)
      assert.equal("HTTP_JSON", e.code)
      assert.matches("^spec/rbf/http_spec.lua:%d+: HTTP_JSON: the answer %(status 200%) is no JSON: ", tostring(e))
      local res = request { url = "http://h/" }
      assert.matches("with a colon", select(2, pcall(function() return res.json() end)))
    end)

    it("names what was meant", function()
      local res = request { url = "http://h/" }
      assert.matches("has no 'statsu', did you mean 'status'%?", select(2, pcall(function() return res.statsu end)))
    end)
  end)

  it("is annotated with the options there are", function()
    local text = io.open("lua/rbf/meta/http.lua"):read "*a"
    local _, message = pcall(request, { nothing = 1 })
    local known, declared = {}, {}
    for name in message:match "known: (.*)%)":gmatch "%w+" do known[#known + 1] = name end
    for name in text:match "rbf.HttpRequest\n(.-)\n\n":gmatch "@field (%w+)" do declared[#declared + 1] = name end
    table.sort(declared)
    assert.same(known, declared)
  end)
end)
