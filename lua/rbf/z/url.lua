--- Is a text a URL, as the URL Standard parses one without a base? Hosts that are not ASCII are
--- taken as they are: there are no tables of international domain names here.
local special = { http = true, https = true, ws = true, wss = true, ftp = true }
local forbidden = "[%z\1-\32#/:<>?@%[\\%]^|]" -- in any host
local forbidden_domain = '[%z\1-\32#/:<>?@%[\\%]^|%%\127]'

local function decoded(s)
  return (s:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end

--- One part of an IPv4 address: decimal, 0x hexadecimal, 0 octal.
local function number_of(part)
  if part:find "^0[xX]%x*$" then return #part == 2 and 0 or tonumber(part:sub(3), 16) end
  if part:find "^0[0-7]+$" then return tonumber(part, 8) end
  if part:find "^%d+$" and (part == "0" or part:sub(1, 1) ~= "0") then return tonumber(part) end
end

--- Does the host end in a number? Then it must be an IPv4 address.
local function ends_in_number(host)
  local last = ("." .. host:gsub("%.$", "")):match "^.*%.(.*)$"
  return last:find "^%d+$" ~= nil or last:find "^0[xX]%x*$" ~= nil
end

local function is_ipv4(host)
  local parts = {}
  for part in (host:gsub("%.$", "") .. "."):gmatch "([^.]*)%." do
    local n = number_of(part)
    if not n or #parts == 4 then return false end
    parts[#parts + 1] = n
  end
  for i = 1, #parts - 1 do
    if parts[i] > 255 then return false end
  end
  return parts[#parts] < 256 ^ (5 - #parts)
end

--- Groups of an IPv6 address on one side of "::"; nil when one is no group.
local function groups(s, may_end_in_ipv4)
  if s == "" then return 0 end
  local n = 0
  for part, sep in (s .. ":"):gmatch "([^:]*)(:)" do
    n = n + (sep == ":" and 1 or 0)
    if not part:find "^%x%x?%x?%x?$" then
      local is_last = may_end_in_ipv4 and s:sub(-#part) == part
      local a, b, c, d = part:match "^(%d+)%.(%d+)%.(%d+)%.(%d+)$"
      if not (is_last and a) then return nil end
      for _, octet in ipairs { a, b, c, d } do
        if tonumber(octet) > 255 or (#octet > 1 and octet:sub(1, 1) == "0") then return nil end
      end
      n = n + 1
    end
  end
  return n
end

local function is_ipv6(s)
  local left, right = s:match "^(.-)::(.*)$"
  if not left then return groups(s, true) == 8 end
  if right:find("::", 1, true) then return false end
  local a, b = groups(left, false), groups(right, true)
  return a ~= nil and b ~= nil and a + b <= 7
end

local function is_host(host, is_special)
  local six = host:match "^%[(.*)%]$"
  if six then return is_ipv6(six) end
  if not is_special then return not host:find(forbidden) end
  host = decoded(host)
  if host == "" or host:find(forbidden_domain) then return false end
  return not ends_in_number(host) or is_ipv4(host)
end

--- user:password@host:port
local function is_authority(s, is_special)
  local host = s:match "^.*@(.*)$"
  if host == "" then return false end -- a user, and nobody to log in to
  host = host or s
  local name, port = host:match "^(%[.*%])(.*)$"
  if not name then name, port = host:match "^([^:]*)(.*)$" end
  if port ~= "" and not port:find "^:%d*$" then return false end
  if (tonumber(port:sub(2)) or 0) > 65535 then return false end
  if name == "" then return not is_special and port == "" end
  return is_host(name, is_special)
end

--- s is trimmed; tabs and line ends in it do not count.
return function(s)
  s = s:gsub("[\t\r\n]", ""):gsub("^[%z\1-\32]+", "")
  local scheme, rest = s:match "^(%a[%w+.-]*):(.*)$"
  if not scheme then return false end
  scheme = scheme:lower()
  if scheme == "file" then
    local host = rest:match "^[/\\][/\\]([^/\\?#]*)"
    return host == nil or host == "" or host:find "^%a[:|]$" ~= nil or is_host(host, true)
  end
  if special[scheme] then
    return is_authority(rest:match "^[/\\]*([^/\\?#]*)", true)
  end
  local authority = rest:match "^//([^/?#]*)"
  return authority == nil or authority == "" or is_authority(authority, false)
end
