--- Random numbers that are the same for the same seed, on every machine: one stream for each name,
--- so that more draws from one change nothing in the others.
local Rng = {}
Rng.__index = Rng

local MODULUS = 2147483647 -- Park and Miller

function Rng:next()
  self.state = self.state * 16807 % MODULUS
  return self.state / MODULUS
end

--- An integer from low to high.
function Rng:int(low, high)
  return low + math.floor(self:next() * (high - low + 1))
end

function Rng:chance(p)
  return self:next() < p
end

function Rng:pick(list)
  return list[self:int(1, #list)]
end

--- A key of {key = weight}; keys are visited in their order.
function Rng:weighted(weights)
  local keys, sum = {}, 0
  for key, weight in pairs(weights) do
    keys[#keys + 1], sum = key, sum + weight
  end
  table.sort(keys)
  local at = self:next() * sum
  for _, key in ipairs(keys) do
    at = at - weights[key]
    if at < 0 then return key end
  end
  return keys[#keys]
end

return function(seed, name)
  local state = seed * 7919 + 17
  for i = 1, #name do state = (state * 31 + name:byte(i)) % MODULUS end
  local rng = setmetatable({ state = state % (MODULUS - 1) + 1 }, Rng)
  for _ = 1, 5 do rng:next() end
  return rng
end
