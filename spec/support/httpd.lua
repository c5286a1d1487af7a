-- HTTP servers for specs: tests/httpd, which the build makes beside the host. What they answer to
-- which path stands in tests/httpd/httpd.h.
local lfs = require "lfs"
local proc = require "spec.support.proc"
local host = require "spec.support.host"

local Server = {}
Server.__index = Server

local _M = {}

local function program()
  local path = host.binary():match "^(.*)/" .. "/tests/rbf_httpd"
  assert(lfs.attributes(path, "mode") == "file", "no " .. path .. ": build with -DRBF_TESTS=ON")
  return path
end

--- A certificate for 127.0.0.1 that nobody has signed but itself: {cert =, key =} (files).
function _M.certificate()
  local dir = proc.temp_dir "cert"
  local files = { cert = dir .. "/cert.pem", key = dir .. "/key.pem" }
  local code, _, err = proc.run { "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
    "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=rbf test", "-addext",
    "subjectAltName=IP:127.0.0.1", "-out", files.cert, "-keyout", files.key }
  assert(code == 0, err)
  return files
end

--- Starts one; with a certificate it speaks TLS.
function _M.start(certificate)
  local dir = proc.temp_dir "httpd"
  local self = setmetatable({ log_path = dir .. "/log" }, Server)
  local words = { program(), self.log_path, out = dir .. "/port", err = dir .. "/errors" }
  if certificate then
    words[3], words[4] = certificate.cert, certificate.key
  end
  self.process = proc.spawn(words)
  self.port = proc.eventually(function()
    return (proc.read_file(dir .. "/port") or ""):match "^(%d+)\n"
  end, 10000, "the HTTP server's port")
  self.url = (certificate and "https" or "http") .. "://127.0.0.1:" .. self.port
  return self
end

--- The requests for a path so far: { conn, method, path, headers = name in lower case → value }.
function Server:requests(path)
  local found = {}
  for line in (proc.read_file(self.log_path) or ""):gmatch "([^\n]*)\n" do
    local conn, method, at = line:match "^(%d+)\t([^\t]+)\t([^\t]+)"
    if at == path then
      local headers = {}
      for name, value in line:gmatch "\t([^\t:]+): ?([^\t]*)" do headers[name:lower()] = value end
      found[#found + 1] = { conn = conn, method = method, path = at, headers = headers }
    end
  end
  return found
end

--- Waits until n requests for a path have come; the n-th.
function Server:await(path, n)
  return proc.eventually(function()
    return self:requests(path)[n or 1]
  end, 20000, ("request %d for %s"):format(n or 1, path))
end

--- What is held under a name is answered from now on.
function Server:release(name)
  local code, _, err = proc.run { program(), "release", self.port, name }
  assert(code == 0, err)
end

function Server:stop()
  self.process:finish("KILL")
end

return _M
