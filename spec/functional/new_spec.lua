-- What a new user does, with an installed rbf, far from the checkout: rbf new x && cd x && rbf test &&
-- rbf dev.
local lfs = require "lfs"
local host = require "spec.support.host"
local nats = require "spec.support.nats"
local proc = require "spec.support.proc"

local function files_below(dir, prefix, list)
  for name in lfs.dir(dir) do
    local path = dir .. "/" .. name
    if name ~= "." and name ~= ".." then
      if lfs.attributes(path, "mode") == "directory" then
        files_below(path, prefix .. name .. "/", list)
      else
        list[#list + 1] = prefix .. name
      end
    end
  end
  table.sort(list)
  return list
end

describe("an installed rbf", function()
  local prefix, home

  lazy_setup(function()
    local there = proc.temp_dir "install" .. "/first"
    local code, out, err = proc.run { "cmake", "--install", (host.binary():gsub("/[^/]*$", "")), "--prefix", there,
      timeout = 60000 }
    assert(code == 0, out .. err)
    prefix = proc.temp_dir "moved" .. "/rbf" -- nothing in it knows where it was put
    assert(os.rename(there, prefix))
    home = proc.temp_dir "home"
  end)

  --- Runs the installed rbf in a folder below home, with nothing of ours in the environment.
  local function rbf(dir, ...)
    return proc.run { prefix .. "/bin/rbf", cwd = home .. dir, timeout = 60000, env = {
      DATABASE_URL = false, NATS_URL = false, RBF_SHARE = false, RBF_SELF = false,
    }, ... }
  end

  it("has its Lua, SQL, completion and documents below the prefix, and uses those", function()
    for _, path in ipairs {
      "bin/rbf", "share/rbf/lua/rbf/init.lua", "share/rbf/lua/rbf/meta/rbf.lua", "share/rbf/sql/001_rbf.sql",
      "share/rbf/handlers/app.lua", "share/rbf/examples/demo.sh", "share/rbf/examples/new/.gitignore",
      "share/bash-completion/completions/rbf", "share/doc/rbf/README.md", "share/doc/rbf/docs/cli.md",
    } do
      assert.equal("file", lfs.attributes(prefix .. "/" .. path, "mode"), path)
    end
    local _, script = rbf("", "completion", "bash")
    assert.equal(script, proc.read_file(prefix .. "/share/bash-completion/completions/rbf"))
    local code, out, err = rbf("", "db:init")
    assert.equal(0, code, err)
    local n = 0
    for path in out:gmatch "%-%- (/%S+%.sql)\n" do
      n = n + 1
      assert.equal(prefix .. "/share/rbf/sql/", path:match "^.*/")
    end
    assert.is_true(n > 0)
    -- the framework's files: a mark in the installed ones shows
    local boot = prefix .. "/share/rbf/lua/rbf/boot.lua"
    local text = proc.read_file(boot)
    proc.write_file(boot, "error 'this is the installed file'\n" .. text)
    code, _, err = rbf("", "check", prefix .. "/share/rbf/handlers")
    proc.write_file(boot, text)
    assert.equal(1, code)
    assert.truthy(err:find "this is the installed file", err)
  end)

  it("refuses names that are none, and folders that hold something", function()
    for _, name in ipairs { "", "a b", "../x", "1st", ".x", "-", "x/", "ä", ("x"):rep(65) } do
      local code, out, err = rbf("", "new", "--", name)
      assert.equal(1, code, name)
      assert.equal("", out)
      assert.truthy(err:find("rbf: a name begins with a letter", 1, true), err)
      assert.equal(1, select(2, err:gsub("\n", "")), err)
    end
    lfs.mkdir(home .. "/full")
    proc.write_file(home .. "/full/.hidden", "")
    proc.write_file(home .. "/file", "")
    for name, message in pairs { full = "full is there already, and not empty", file = "file is there already, and is no folder" } do
      local code, _, err = rbf("", "new", name)
      assert.equal(1, code)
      assert.truthy(err:find("rbf: " .. message, 1, true), err)
    end
    assert.same({ ".hidden" }, files_below(home .. "/full", "", {}))
    assert.equal(1, (rbf("", "new")))
    assert.equal(1, (rbf("", "new", "a", "b")))
  end)

  it("makes an app that passes its specs, serves, reloads and migrates", function()
    lfs.mkdir(home .. "/guestbook") -- empty is fine
    local code, out, err = rbf("", "new", "guestbook")
    assert.equal(0, code, err)
    assert.equal("", err)
    assert.truthy(out:find("cd guestbook\n  rbf test ", 1, true), out)
    local made = files_below(home .. "/guestbook", "", {})
    assert.same({ ".gitignore", "README.md", "handlers/app.lua", "handlers/migrations/001_notes.sql",
      "handlers/notes.lua", "handlers/spec/notes_spec.lua" }, made)
    for _, name in ipairs(made) do
      assert.is_nil(proc.read_file(home .. "/guestbook/" .. name):find("{{", 1, true), name)
    end
    assert.truthy(proc.read_file(home .. "/guestbook/README.md"):find "^# guestbook\n")

    code, out, err = rbf("/guestbook", "test")
    assert.equal(0, code, out .. err)
    assert.truthy(out:find "2 successes / 0 failures / 0 errors", out)

    local log = home .. "/dev.log"
    local dev = proc.spawn { prefix .. "/bin/rbf", "dev", cwd = home .. "/guestbook", out = log, err = log,
      env = { DATABASE_URL = false, NATS_URL = false, RBF_SHARE = false, RBF_SELF = false } }
    finally(function() dev:finish("TERM", 20000) end)
    local function said(text)
      return host.eventually(function()
        return (proc.read_file(log) or ""):find(text, 1, true)
      end, 60000, function() return text .. "; rbf dev said:\n" .. (proc.read_file(log) or "") end)
    end
    said "Ctrl-C stops."
    said [[rbf call jobs.notes.add '{"text":"Hello"}']]

    code, out, err = rbf("/guestbook", "call", "jobs.notes.add", '{"text":"Hello"}')
    assert.equal(0, code, err)
    assert.equal("Hello", nats.decode(out).text)
    code, out = rbf("/guestbook", "call", "jobs.notes.list")
    assert.equal(0, code)
    assert.equal("Hello", nats.decode(out)[1].text)
    assert.equal(4, (rbf("/guestbook", "call", "jobs.notes.add", '{"text":""}')))

    -- the next step: a column, and a handler that fills it
    local file = home .. "/guestbook/handlers/notes.lua"
    proc.write_file(home .. "/guestbook/handlers/migrations/002_author.sql", "ALTER TABLE notes ADD author TEXT DEFAULT 'Ada';\n")
    code, out, err = rbf("/guestbook", "db:migrate")
    assert.same({ 0, "1 applied: 0 of the host, 1 of the app\n" }, { code, out }, err)
    proc.write_file(file, (proc.read_file(file):gsub("SELECT id, text", "SELECT author, text")))
    said "reloaded"
    code, out = rbf("/guestbook", "call", "jobs.notes.list")
    assert.equal(0, code)
    assert.equal('[{"author":"Ada","text":"Hello"}]\n', out)

    dev:kill "TERM"
    assert.equal(0, dev:wait(20000))
    for _, name in ipairs(files_below(home .. "/guestbook", "", {})) do
      assert.truthy(name:find "^%.rbf/" or name:find "^handlers/" or name == "README.md" or name == ".gitignore", name)
    end
  end)
end)
