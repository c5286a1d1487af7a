local testing = require "rbf.testing"
local notes = require "notes"

local t = testing.load()

describe("notes", function()
  it("are listed once they were added", function()
    assert.same({}, t:query(notes.listNotes))
    local note = assert(t:mutate(notes.addNote, { input = { text = "Hello" } }))
    assert.same({ { id = note.id, text = "Hello" } }, t:query(notes.listNotes))
  end)

  it("have a text", function()
    local note, err = t:mutate(notes.addNote, { input = { text = "" } })
    assert.is_nil(note)
    assert.equal(400, err.status)
    assert.same({ "text" }, err.issues[1].path)
  end)
end)
