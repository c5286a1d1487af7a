local testing = require "rbf.testing"
local email, users = require "email", require "users"

local t = testing.load()

describe("users.create", function()
  local ada = { email = "ada@example.com", name = "Ada" }

  it("inserts the user and schedules the welcome mail", function()
    local user = assert(t:mutate(users.createUser, { input = ada }))
    assert.equal("Ada", user.name)
    assert.same({ email = "ada@example.com" },
      t.db:one("SELECT email FROM users WHERE id = $1", user.id))
    assert.scheduled(email.sendWelcome, { input = { userId = user.id } })
  end)

  it("leaves nothing for the next spec", function()
    assert.equal(0, t.db:one("SELECT count(*) AS n FROM users").n)
    assert.nothing_scheduled()
  end)

  it("refuses an address that is taken", function()
    assert(t:mutate(users.createUser, { input = ada }))
    local user, err = t:mutate(users.createUser, { input = ada })
    assert.is_nil(user)
    assert.equal("EMAIL_TAKEN", err.code)
    assert.equal(409, err.status)
  end)

  it("says what is wrong with its input", function()
    local _, err = t:mutate("jobs.users.create", { input = { email = "nobody", name = "A" } })
    assert.equal(400, err.status)
    assert.same({ "email" }, err.issues[1].path)
  end)
end)

describe("the welcome mail", function()
  local user

  before_each(function()
    user = t.db:insert("users", { email = "bob@example.com", name = "Bob" })
  end)

  it("follows the signup", function()
    local ada = assert(t:mutate(users.createUser, { input = { email = "ada@example.com", name = "Ada" } }))
    t:drain()
    assert.same({ { subject = "Welcome, Ada!" } }, t:query(email.listMails, { params = { userId = ada.id } }))
  end)

  it("greets as the context says", function()
    local german = t:with_context { greeting = "Willkommen" }
    assert(german:mutate(email.sendWelcome, { input = { userId = user.id } }))
    assert.same({ { subject = "Willkommen, Bob!" } }, t:query("events.email.list." .. user.id))
  end)

  it("needs the user", function()
    local _, err = t:mutate(email.sendWelcome, { input = { userId = "00000000-0000-0000-0000-000000000000" } })
    assert.equal("USER_NOT_FOUND", err.code)
  end)
end)
