local fresh = require "spec.rbf.fakehost"

describe("app:cron", function()
  local rbf, z, app, cron, tidy
  local function handler() end

  before_each(function()
    rbf = fresh()
    z, cron = rbf.z, require "rbf.cron"
    app = rbf.defineBackend { queues = { jobs = {}, events = { subject = "ev" } } }
    tidy = app:mutation("jobs", { path = "tidy", handler = handler })
    app:mutation("events", { path = "mail.$to", input = z.object { n = z.number() }, handler = handler })
    app:query("jobs", { path = "look", handler = handler })
  end)

  local function refusal(fn)
    local ok, why = pcall(fn)
    assert.is_false(ok)
    assert.matches("cron_spec%.lua:%d+: ", why)
    return (why:gsub("^.-:%d+: ", ""))
  end

  it("gives the host a plan", function()
    assert.equal("jobs.tidy", app:cron("@daily", tidy))
    app:cron("0 3 * * *", "events.mail.$to", {
      params = { to = 7 }, input = { n = 1 }, tz = "Europe/Berlin", name = "mail", missed = "skip",
    })
    local plan = cron.plan()
    assert.matches("cron_spec%.lua:%d+$", plan[1].file)
    plan[1].file, plan[2].file = nil, nil
    assert.same({
      { name = "jobs.tidy", spec = "@daily", tz = "UTC", missed = "once", subject = "jobs.tidy" },
      { name = "mail", spec = "0 3 * * *", tz = "Europe/Berlin", missed = "skip", subject = "ev.mail.7", data = '{"n":1}' },
    }, plan)
  end)

  it("finds operations of files that load later, and subjects set later", function()
    app:cron("@daily", "jobs.later")
    app:mutation("jobs", { path = "later", handler = handler })
    rbf.createBackend(app, { queues = { jobs = { subject = "work" } } })
    assert.equal("work.later", cron.plan()[1].subject)
  end)

  local cases = {
    { "a bad spec", function() app:cron("bad", tidy) end, "app:cron 'bad' has 1 fields" },
    { "no spec", function() app:cron(nil, tidy) end, "app:cron's first argument must be a string, found nil" },
    { "an unknown zone", function() app:cron("@daily", tidy, { tz = "mars" }) end, "app:cron: no time zone 'mars'" },
    { "no operation", function() app:cron("@daily", nil) end,
      'app:cron: expected an operation or "queue.path", found nil (is it in what its file returns?)' },
    { "an unknown option", function() app:cron("@daily", tidy, { inputs = 1 }) end,
      "app:cron: unknown key 'inputs', did you mean 'input'? (known: input, missed, name, params, tz)" },
    { "an unknown policy", function() app:cron("@daily", tidy, { missed = "twice" }) end,
      'app:cron: missed must be "once" or "skip", found the string "twice"' },
    { "a bad name", function() app:cron("@daily", tidy, { name = "a b" }) end,
      'app:cron: name must be 1 to 100 letters, digits and _ . $ : / -, found the string "a b"' },
    { "input for an operation without", function() app:cron("@daily", tidy, { input = {} }) end,
      "cron 'jobs.tidy': jobs.tidy declares no input, so there can be none" },
    { "params for a path without", function() app:cron("@daily", tidy, { params = { a = "b" } }) end,
      "cron 'jobs.tidy': path 'tidy' has no parameters" },
  }
  for _, case in ipairs(cases) do
    it("refuses " .. case[1], function()
      assert.equal(case[3], refusal(case[2]))
    end)
  end

  it("refuses two of one name, and says where the other is", function()
    app:cron("@daily", tidy)
    assert.matches("^cron 'jobs.tidy' is defined already, at .*cron_spec.lua:%d+; give one of them a name = \"…\"$",
      refusal(function() app:cron("@hourly", tidy) end))
  end)

  -- Known only when all files are loaded; the message is still about the line of app:cron.
  local late = {
    { "an unknown path", "jobs.tidi", nil, "cron 'jobs.tidi': no operation 'jobs.tidi', did you mean 'jobs.tidy'?" },
    { "a query", "jobs.look", nil, "cron 'jobs.look': jobs.look is a query; queries only answer, use a mutation" },
    { "a path whose parameter is missing", "events.mail.$to", { input = { n = 1 } },
      "cron 'events.mail.$to': parameter 'to' of path 'mail.$to' is missing" },
    { "an input that does not fit", "events.mail.$to", { params = { to = "x" }, input = { n = "1" } },
      "cron 'events.mail.$to': what it gives events.mail.$to does not fit: "
      .. "Invalid input: n: Invalid input: expected number, received string" },
    { "an input that is missing", "events.mail.$to", { params = { to = "x" } },
      "cron 'events.mail.$to': what it gives events.mail.$to does not fit: "
      .. "Invalid input: expected object, received null" },
  }
  for _, case in ipairs(late) do
    it("refuses " .. case[1] .. " once all is loaded", function()
      app:cron("@daily", case[2], case[3])
      -- both places are this file's here, as cron.plan is called from it
      assert.equal(case[4], (refusal(cron.plan):gsub("^.-cron_spec%.lua:%d+: ", "")))
    end)
  end
end)
