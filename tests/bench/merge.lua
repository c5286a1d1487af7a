-- Several runs into one: tables of the same shape, medians of their numbers.
local function median(list)
  table.sort(list)
  local n = #list
  return n % 2 == 1 and list[(n + 1) / 2] or (list[n / 2] + list[n / 2 + 1]) / 2
end

local function merge(values)
  local first = values[1]
  if type(first) == "number" then return median(values) end
  if type(first) ~= "table" then return first end
  local out = {}
  for key in pairs(first) do
    local column = {}
    for _, value in ipairs(values) do column[#column + 1] = value[key] end
    if key == "rate" then out.rates = { unpack(column) } end
    out[key] = merge(column)
  end
  return out
end

return merge
