-- Busted reloads every module for each spec file. What may exist only once in a process (C
-- declarations, the running servers) is kept in the registry instead.
local registry = debug.getregistry()

--- Calls make() the first time key is asked for, in the whole run; returns what it returned.
return function(key, make)
  local store = registry["rbf.spec"] or {}
  registry["rbf.spec"] = store
  if store[key] == nil then
    store[key] = make()
  end
  return store[key]
end
