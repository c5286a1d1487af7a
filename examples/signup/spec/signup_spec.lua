local pkey = require "openssl.pkey"
local host = require "spec.support.host"
local proc = require "spec.support.proc"
local sign = dofile "examples/signup/spec/token.lua"

describe("examples/signup", function()
  local secret, private = ("secret "):rep(6), pkey.new { type = "RSA", bits = 2048 }
  local hs, rs = { alg = "HS256", kid = "shared" }, { alg = "RS256", kid = "issuer" }
  local stage, running

  lazy_setup(function()
    stage = host.stage { app = "examples/signup" }
    stage.db:query("INSERT INTO auth_keys VALUES ('shared', 'HS256', $1), ('issuer', 'RS256', $2)", secret,
      private:toPEM "public")
    running = stage:start()
  end)

  lazy_teardown(function() host.close(stage) end)

  before_each(function() stage.db:exec "TRUNCATE users, mails, rbf_results, rbf_dead_letters" end)

  --- Claims that hold, but for `more` (false: left out).
  local function claims(more)
    local result = { sub = "ada", aud = "signup", exp = os.time() + 600 }
    for k, v in pairs(more or {}) do result[k] = v or nil end
    return result
  end

  local function call(path, token, data, id)
    return stage:call("jobs." .. path, data, {
      id = id, headers = { Authorization = token and "Bearer " .. token },
    })
  end

  local function register(token, id)
    return call("users.register", token, { email = "ada@example.com", name = "Ada" }, id)
  end

  it("registers the token's subject, once, and welcomes it", function()
    local reply = register(sign(claims(), secret, hs))
    assert.equal(200, reply.status, reply.raw .. running:tail(3))
    assert.same({ id = "ada", email = "ada@example.com", name = "Ada" }, reply.body)
    assert.same(reply.body, call("users.me", sign(claims(), secret, hs)).body)
    stage:settle { "jobs", "events" }
    assert.equal("Welcome, Ada!", stage.db:value "SELECT subject FROM mails")
  end)

  it("takes tokens that an issuer signed with its RSA key", function()
    assert.equal(404, call("users.me", sign(claims { aud = { "other", "signup" } }, private, rs)).status)
  end)

  it("says so when the account or the address is taken", function()
    assert.equal(200, register(sign(claims(), secret, hs)).status)
    local reply = register(sign(claims { sub = "eve" }, secret, hs))
    assert.equal(409, reply.status)
    assert.equal("TAKEN", reply.body.code)
    assert.equal(1, stage:count "users")
    stage:settle { "jobs", "events" }
  end)

  it("lets only admins list", function()
    assert.equal(403, call("users.list", sign(claims(), secret, hs)).status)
    assert.equal(403, call("users.list", sign(claims { scope = "administrate" }, secret, hs)).status)
    local reply = call("users.list", sign(claims { scope = "mail admin" }, secret, hs))
    assert.equal(200, reply.status, reply.raw)
    assert.same("[]", reply.raw)
    -- the answer is cached: others are refused all the same, and a registration shows at once
    assert.equal(403, call("users.list", sign(claims(), secret, hs)).status)
    assert.equal(200, register(sign(claims(), secret, hs)).status)
    reply = call("users.list", sign(claims { scope = "mail admin" }, secret, hs))
    assert.equal(1, #reply.body)
  end)

  local pem = private:toPEM "public"
  local good = sign(claims(), secret, hs)
  local forgeries = {
    { "none at all", false, "no token" },
    { "nonsense", "a.b", "not a token" },
    { "no JSON", "e30.x.y", "no kid" },
    { "a bad signature", good:sub(1, -3) .. (good:sub(-2) == "AA" and "BB" or "AA"), "bad signature" },
    { "no signature", sign(claims(), secret, hs, ""):sub(1, -2), "not a token" },
    { "an empty signature", sign(claims(), secret, hs, "") .. "A", "bad signature" },
    { "other claims", (good:gsub("%.[^.]+%.", "." .. sign(claims { sub = "eve" }, secret, hs):match "%.([^.]+)%." .. ".")),
      "bad signature" },
    { "another secret", sign(claims(), secret .. "x", hs), "bad signature" },
    { "another RSA key", sign(claims(), pkey.new { type = "RSA", bits = 2048 }, rs), "bad signature" },
    { "an RSA signature of another length", sign(claims(), private, rs, "short"), "bad signature" },
    { "alg none", sign(claims(), secret, { alg = "none", kid = "shared" }, "x"), "alg is not the key's" },
    { "the public key as a secret", sign(claims(), pem, { alg = "HS256", kid = "issuer" }), "alg is not the key's" },
    { "RS256 for a secret", sign(claims(), private, { alg = "RS256", kid = "shared" }), "alg is not the key's" },
    { "an unknown key", sign(claims(), secret, { alg = "HS256", kid = "old" }), "unknown kid" },
    { "no kid", sign(claims(), secret, { alg = "HS256" }), "no kid" },
    { "crit", sign(claims(), secret, { alg = "HS256", kid = "shared", crit = { "x" } }), "crit, which" },
    { "no exp", sign(claims { exp = false }, secret, hs), "no exp" },
    { "an exp that is no number", sign(claims { exp = "never" }, secret, hs), "no exp" },
    { "an exp that has passed", sign(claims { exp = os.time() - 31 }, secret, hs), "expired" },
    { "an nbf to come", sign(claims { nbf = os.time() + 3600 }, secret, hs), "not valid yet" },
    { "another audience", sign(claims { aud = "bank" }, secret, hs), "for another audience" },
    { "no audience", sign(claims { aud = false }, secret, hs), "for another audience" },
    { "no subject", sign(claims { sub = false }, secret, hs), "no subject" },
    { "more than a token", ("x"):rep(9000), "too long" },
  }
  for _, case in ipairs(forgeries) do
    local name, token, why = unpack(case)
    it("answers 401 to a token with " .. name, function()
      local n = #running:log "token refused"
      local reply = register(token)
      assert.equal(401, reply.status, reply.raw)
      assert.same({ code = "UNAUTHORIZED", message = "A valid bearer token is required." }, reply.body)
      local line = running:await_log("token refused", 3000, n + 1)
      assert.equal(why, line.why:sub(1, #why))
      assert.equal(0, stage:count "users")
      assert.equal(0, stage:count "rbf_results")
    end)
  end

  it("gives a stored reply to nobody without a token", function()
    assert.equal(200, register(good, "mine").status)
    assert.equal(401, register(nil, "mine").status)
    assert.equal(200, register(good, "mine").status)
    assert.equal(1, stage:count "users")
    stage:settle { "jobs", "events" }
  end)

  it("counts a key that was taken away no more", function()
    local token = sign(claims(), secret, { alg = "HS256", kid = "brief" })
    stage.db:query("INSERT INTO auth_keys VALUES ('brief', 'HS256', $1)", secret)
    assert.equal(404, call("users.me", token).status)
    stage.db:exec "DELETE FROM auth_keys WHERE kid = 'brief'"
    assert.equal(401, call("users.me", token).status)
  end)

  it("token.lua makes one in a shell", function()
    stage.db:query("INSERT INTO auth_keys VALUES ('dev', 'HS256', $1)", secret)
    local code, token = proc.run { "luajit", "examples/signup/spec/token.lua", secret, "ada", "admin" }
    assert.equal(0, code)
    assert.equal(200, call("users.list", token:match "%S+").status)
  end)

  it("allows for an issuer's clock that differs a little", function()
    assert.equal(404, call("users.me", sign(claims { exp = os.time() - 1, nbf = os.time() + 5 }, secret, hs)).status)
  end)
end)
