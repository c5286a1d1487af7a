local rbf = require "rbf"
local z = rbf.z
local app = require("app").app

-- A mutation is one SERIALIZABLE transaction: it happens once, or not at all.
local addNote = app:mutation("jobs", {
  path = "notes.add",
  input = z.object { text = z.string():min(1):max(200) },
  output = z.object { id = z.number(), text = z.string() },
  example = { text = "Hello" },
  handler = function(r)
    return r.db:insert("notes", { text = r.input.text })
  end,
})

-- A query only reads.
local listNotes = app:query("jobs", {
  path = "notes.list",
  handler = function(r)
    return r.db:query("SELECT id, text FROM notes ORDER BY id")
  end,
})

return { addNote = addNote, listNotes = listNotes }
