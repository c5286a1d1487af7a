-- What a client does with a token: luajit examples/signup/spec/token.lua … makes one.
local rbf = require "rbf"
local backend, headers = rbf.backend, { Authorization = "Bearer " .. arg[1] }

print(backend.mutations.registerUser { headers = headers, input = { email = "ada@example.com", name = "Ada" } }.id)
print(rbf.json.encode(backend.queries.me { headers = headers }))
