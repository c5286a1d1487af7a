-- Makes tokens, as an issuer would. In specs: sign(claims, key, header). In a shell:
--   luajit examples/signup/spec/token.lua SECRET SUBJECT [SCOPE]    (HS256, kid "dev", one hour)
local cjson = require "cjson"
local basexx = require "basexx"
local digest = require "openssl.digest"
local hmac = require "openssl.hmac"

--- key: the secret, or a private openssl.pkey. header.alg says how; `mac` is for forgeries.
local function sign(claims, key, header, mac)
  local text = basexx.to_url64(cjson.encode(header)) .. "." .. basexx.to_url64(cjson.encode(claims))
  if not mac and type(key) == "string" then
    mac = hmac.new(key, "sha256"):final(text)
  elseif not mac then
    mac = key:sign(digest.new("sha256"):update(text))
  end
  return text .. "." .. basexx.to_url64(mac)
end

local words = rawget(_G, "arg")
if words and words[0] and words[0]:find "token%.lua$" then
  print(sign({ sub = words[2], aud = "signup", scope = words[3], exp = os.time() + 3600 }, words[1],
    { alg = "HS256", kid = "dev" }))
end
return sign
