-- Certificates of tests/certs/make: a folder with ca.pem, server.pem and server.key …
local proc = require "spec.support.proc"
local once = require "spec.support.once"

local _M = {}

--- The run's folder of them; owner: a user who gets a copy of his own (PostgreSQL wants that).
function _M.dir(owner)
  return once("certs." .. (owner or ""), function()
    local dir = proc.temp_dir "certs"
    local code, _, err = proc.run { "tests/certs/make", dir }
    assert(code == 0, err)
    if owner then
      assert(proc.run { "chown", "-R", owner, dir } == 0)
    end
    return dir
  end)
end

return _M
