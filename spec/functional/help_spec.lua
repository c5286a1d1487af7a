-- rbf --help, rbf COMMAND --help, docs/cli.md and bash's completion: all of the same tables.
local lfs = require "lfs"
local host = require "spec.support.host"
local proc = require "spec.support.proc"

local function commands()
  local list = {}
  local _, out = host.rbf "--help"
  for name in out:match "\n\n(.-)\n\nSettings":gmatch "  rbf ([%w:]+)" do list[#list + 1] = name end
  assert(#list > 15, out)
  return list
end

describe("help", function()
  it("has an example and exit codes for every command, and says what its flags mean", function()
    for _, name in ipairs(commands()) do
      local code, out, err = host.rbf(name, "--help")
      assert.same({ 0, "" }, { code, err })
      assert.equal("rbf " .. name, out:match "^rbf [%w:]+")
      assert.truthy(out:find("\nExample:\n  [^\n]*rbf " .. name), out)
      assert.truthy(out:find "\nExit codes:\n  %S", out)
      if name ~= "test" then assert.is_nil(out:find "busted's own:", out) end
      for flag in (out:match "\nFlags:\n(.-)\n\n" or ""):gmatch "  (%-%-[%w-]+)" do
        assert.truthy(out:find(flag, 1, true))
      end
    end
    local _, out = host.rbf("call", "--help")
    assert.truthy(out:find "\n  %-%-header NAME=VALUE +%S", out)
    _, out = host.rbf("test", "--help")
    assert.truthy(out:find "\n  %-%-coverage +%S", out)
    assert.is_nil((out:match "busted's own:([^\n]*)"):find("coverage", 1, true))
  end)

  it("has one table of exit codes, as docs/cli.md has it", function()
    local _, out = host.rbf "--help"
    local table_ = assert(out:match "\nExit codes:\n(.-)\n\n", out)
    local doc = proc.read_file "docs/cli.md"
    for code in table_:gmatch "\n?  (%d)  " do
      assert.truthy(doc:find("| " .. code .. " |", 1, true), code)
    end
    assert.truthy(table_:find "^  0  done\n  1  ", table_)
  end)

  it("docs/cli.md has every command", function()
    local doc = proc.read_file "docs/cli.md"
    for _, name in ipairs(commands()) do
      assert.truthy(doc:find("rbf " .. name, 1, true), name .. " is not in docs/cli.md")
    end
  end)
end)

describe("completion", function()
  local script

  lazy_setup(function()
    local code, out, err = host.rbf("completion", "bash")
    assert(code == 0, err)
    script = proc.temp_dir "completion" .. "/rbf"
    proc.write_file(script, out)
  end)

  --- What bash offers behind this line, sorted, as one text.
  local function offers(line, cwd)
    local code, out, err = proc.run { "bash", "-c", [[
      . "$0"; complete -p rbf >/dev/null || exit 1
      COMP_LINE=$1 COMP_POINT=${#1}
      _rbf && printf '%s\n' "${COMPREPLY[@]}" | LC_ALL=C sort | tr '\n' ' ']], script, line, cwd = cwd }
    assert.same({ 0, "" }, { code, err })
    return (out:gsub("%s+$", ""))
  end

  it("knows all commands", function()
    local all = " " .. offers "rbf " .. " "
    for _, name in ipairs(commands()) do assert.truthy(all:find(" " .. name .. " ", 1, true), name) end
    assert.is_nil(all:find(" worker ", 1, true))
    assert.equal("call", offers "rbf ca")
    assert.equal("call", offers "./build/rbf ca")
  end)

  it("goes on behind a colon, where bash begins a new word", function()
    assert.equal("db:init db:migrate", offers "rbf db")
    assert.equal("init migrate", offers "rbf db:")
    assert.equal("migrate", offers "rbf db:m")
  end)

  it("knows the flags of a command, and the settings that all have", function()
    assert.equal("--state-dir --status", offers "rbf db:migrate --stat")
    assert.equal("--param", offers "rbf call jobs.users.get --para")
    assert.equal("--database-url", offers "rbf run handlers --datab")
    assert.equal("--no-cron", offers "rbf run --no-c")
    assert.equal("bash", offers "rbf completion ")
    assert.equal("", offers "rbf dev han") -- bash then offers files
    assert.equal("", offers "rbf nonsense ")
  end)

  describe("behind call, job:trigger and queue:inspect", function()
    local dir, rbf

    lazy_setup(function()
      dir, rbf = proc.temp_dir "paths", host.binary()
      lfs.mkdir(dir .. "/handlers")
      proc.write_file(dir .. "/handlers/app.lua", [[
        local app = require("rbf").defineBackend { queues = { jobs = {}, mail = {} } }
        local function run() end
        return { app:mutation("jobs", { path = "add", handler = run }), app:query("mail", { path = "of.$who", handler = run }) }]])
    end)

    it("knows the app's operations and queues", function()
      assert.equal("--header --no-wait --param --request-id --timeout jobs.add mail.of.\\$who", offers(rbf .. " call ", dir))
      assert.equal("jobs.add", offers(rbf .. " job:trigger j", dir))
      assert.equal("jobs", offers(rbf .. " queue:inspect j", dir))
      assert.equal("", offers(rbf .. " call k", dir))
      assert.equal("", offers(rbf .. " call jobs.add j", dir)) -- that would be its input
      assert.equal("", offers(rbf .. " db:migrate j", dir))
    end)

    it("quotes what the shell would take for its own", function()
      assert.equal([[mail.of.\$who]], offers(rbf .. " call mail.of.", dir))
      assert.equal([[mail.of.\$who]], offers(rbf .. [[ call mail.of.\$]], dir))
      assert.equal([[mail.of.\$who]], offers(rbf .. [[ call "mail.of.]], dir))
      assert.equal("mail.of.$who", offers(rbf .. " call 'mail.of.$w", dir))
    end)

    it("is silent without an app, or with one that does not load", function()
      local empty = proc.temp_dir "empty"
      assert.equal("", offers(rbf .. " call j", empty))
      lfs.mkdir(empty .. "/handlers")
      proc.write_file(empty .. "/handlers/app.lua", "print 'loud' error 'broken'")
      assert.equal("", offers(rbf .. " call j", empty))
    end)
  end)

  it("is for bash only", function()
    for _, words in ipairs { { "completion" }, { "completion", "zsh" } } do
      local code, out, err = host.rbf(unpack(words))
      assert.equal(1, code)
      assert.equal("", out)
      assert.truthy(err:find("source <(rbf completion bash)", 1, true), err)
    end
  end)
end)
