--- For specs of schemas: "path: message" of each issue that a value raises; out: as a handler's result.
return function(schema, v, out)
  local _, issues = require("rbf.z.schema").validate(schema, v, out)
  local lines = {}
  for i, issue in ipairs(issues or {}) do
    lines[i] = table.concat(issue.path, ".") .. ": " .. issue.message
  end
  return lines
end
