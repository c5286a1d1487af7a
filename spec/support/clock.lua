-- A host's clock, which a test sets (tests/clockshift.c).
local ffi = require "ffi"

local _M = {}
_M.__index = _M

--- path: of a file that is made. ms: how far the host's clock is ahead of the true one.
function _M.new(path, ms)
  local self = setmetatable({ path = path, file = assert(io.open(path, "wb")) }, _M)
  self:set(ms)
  return self
end

function _M:set(ms)
  self.file:seek "set"
  self.file:write(ffi.string(ffi.new("int64_t[1]", ms), 8))
  self.file:flush()
end

--- What the environment of the host, a binary of this build, needs.
function _M:env(binary)
  return {
    LD_PRELOAD = binary:match "^(.*/)" .. "libclockshift.so", CLOCKSHIFT_FILE = self.path,
    ASAN_OPTIONS = "verify_asan_link_order=0",
  }
end

return _M
