--- Who is calling: middleware that takes a JSON Web Token (RFC 7519) from the Authorization header.
--- Signatures are OpenSSL's (Debian: lua-luaossl), base64url is basexx's (lua-basexx).
---
---   local app = base:middleware(auth.bearer { key = function(r, kid) … end, audience = "signup" })
---
--- What is refused is answered 401, and not stored: the same request may come again with a better
--- token. Times are judged whenever the handler runs, also before a stored reply is given.
local rbf = require "rbf"
local basexx = require "basexx"
local digest = require "openssl.digest"
local hmac = require "openssl.hmac"
local pkey = require "openssl.pkey"
local rand = require "openssl.rand"

local auth = {
  -- for rbf.defineBackend
  modules = { "basexx", "openssl.digest", "openssl.hmac", "openssl.pkey", "openssl.rand" },
}

local MAX_TOKEN = 8192 -- bytes
local LEEWAY = 30 -- seconds by which the issuer's clock may differ

local function hmac_of(text, key)
  return hmac.new(key, "sha256"):final(text)
end

--- Equal? What a key of this moment makes of both is compared, so that the time which that takes
--- says nothing about either.
local function same(a, b)
  local key = rand.bytes(32)
  return hmac_of(a, key) == hmac_of(b, key)
end

-- The only algorithms there are. ("none" is not one.)
local verify = {}

function verify.HS256(text, signature, key)
  return same(hmac_of(text, key), signature)
end

function verify.RS256(text, signature, key)
  local public = pkey.new(key)
  assert(public:type() == "rsaEncryption", "a key for RS256 must be an RSA key")
  return public:verify(signature, digest.new("sha256"):update(text))
end

local function refuse(r, why)
  r.ctx.log:info("token refused", { why = why }) -- the caller is not told which check it was
  rbf.fail { status = 401, code = "UNAUTHORIZED", message = "A valid bearer token is required." }
end

--- The JSON object of one part of the token; nil when it is none.
local function object(part)
  local ok, value = pcall(function() return rbf.json.decode(basexx.from_url64(part)) end)
  return ok and type(value) == "table" and value or nil
end

local function is_time(v)
  return type(v) == "number" and v == v
end

--- Why these claims do not hold now, or nil.
local function objection(claims, options)
  local now, aud = rbf.now() / 1000, claims.aud
  if not is_time(claims.exp) then return "no exp" end
  if now >= claims.exp + LEEWAY then return "expired" end
  if claims.nbf ~= nil and not (is_time(claims.nbf) and now >= claims.nbf - LEEWAY) then return "not valid yet" end
  if options.issuer and claims.iss ~= options.issuer then return "another issuer" end
  if type(claims.sub) ~= "string" or claims.sub == "" then return "no subject" end
  if not options.audience or aud == options.audience then return nil end
  for _, one in ipairs(type(aud) == "table" and aud or {}) do
    if one == options.audience then return nil end
  end
  return "for another audience"
end

--- The claims of a token that holds; anything else is answered 401.
local function claims_of(r, token, options)
  if #token > MAX_TOKEN then refuse(r, "too long") end
  local head, body, mac = token:match "^([%w_-]+)%.([%w_-]+)%.([%w_-]+)$"
  local header = head and object(head)
  if not header then refuse(r, "not a token") end
  if header.crit ~= nil then refuse(r, "crit, which asks for more than is known here") end
  if type(header.kid) ~= "string" then refuse(r, "no kid") end
  local key = options.key(r, header.kid)
  if not key then refuse(r, "unknown kid") end
  -- The algorithm is the key's: a public key must never serve as an HMAC's secret.
  if header.alg ~= key.alg or not verify[key.alg] then refuse(r, "alg is not the key's") end
  local signature = basexx.from_url64(mac)
  if not verify[key.alg](head .. "." .. body, signature, key.key) then refuse(r, "bad signature") end
  local claims = object(body)
  local why = not claims and "no claims" or objection(claims, options)
  if why then refuse(r, why) end
  return claims
end

--- Middleware. key: function(r, kid) that gives { alg = "HS256" | "RS256", key = secret or PEM } or
--- nil; audience, issuer: what aud and iss must say. Sets ctx.user = { id, claims }.
function auth.bearer(options)
  return function(r)
    local token = (r.msg.headers.Authorization or ""):match "^[Bb]earer +(%S+) *$"
    if not token then refuse(r, "no token") end
    local claims = claims_of(r, token, options)
    return { ctx = { user = { id = claims.sub, claims = claims } } }
  end
end

--- Middleware behind bearer: the token's `scope` has this word, else 403.
function auth.scope(word)
  return function(r)
    local scope = r.ctx.user.claims.scope
    for one in (type(scope) == "string" and scope or ""):gmatch "%S+" do
      if one == word then return end
    end
    rbf.fail { status = 403, code = "FORBIDDEN", message = ("This needs the scope '%s'."):format(word) }
  end
end

return auth
