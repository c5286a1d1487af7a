-- rbf types and rbf check: the app without servers, rows from a real database.
local cjson = require "cjson"
local lfs = require "lfs"
local annotations = require "spec.support.annotations"
local host = require "spec.support.host"
local proc = require "spec.support.proc"

local function read(stage) return proc.read_file(stage.app .. "/.rbf-types.lua") end

local function names_in(dir)
  local list = {}
  for name in lfs.dir(dir) do list[#list + 1] = name end
  table.sort(list)
  return table.concat(list, " ")
end

--- Runs rbf types on the stage's app and database; its output, and what it wrote, read.
local function write(stage, ...)
  local code, out, err = host.rbf("types", stage.app, "--database-url", stage.db_url, ...)
  assert.equal(0, code, err)
  assert.equal("", err)
  local text = read(stage)
  assert(loadstring(text, "@.rbf-types.lua"))
  return out, annotations.read(text)
end

describe("rbf types", function()
  local kinds, signup

  lazy_setup(function()
    kinds = host.stage { app = "spec/apps/types" }
    signup = host.stage { app = "handlers" }
  end)

  lazy_teardown(function()
    host.close(kinds)
    host.close(signup)
  end)

  it("names each operation of the app and each column of the database", function()
    for _, stage in ipairs { kinds, signup } do
      local out, found = write(stage)
      local _, text = host.rbf("check", stage.app, "--json")
      local operations = cjson.decode(text).operations
      assert.truthy(out:find((".rbf-types.lua written: %d operations"):format(#operations), 1, true), out)
      for _, op in ipairs(operations) do
        local name = ("%s.%s"):format(op.queue, op.path:gsub("%$", ""))
        assert.truthy(found.classes["rbf.r." .. name], name)
        if op.name ~= cjson.null then
          local class = op.type == "query" and "rbf.Queries" or "rbf.Mutations"
          assert.truthy(found.classes[class].fields[op.name], op.name)
        end
      end
      local columns = stage.db:query [[
        SELECT table_schema s, table_name t, column_name c FROM information_schema.columns
        WHERE table_schema IN ('public', 'audit') AND table_name !~ '^rbf_|^parts_|[.]']]
      assert.is_true(#columns > 5)
      for _, c in ipairs(columns) do
        local name = (c.s == "public" and "" or c.s .. ".") .. c.t
        assert.truthy(found.classes["rbf.row." .. name].fields[c.c], name .. "." .. c.c)
        assert.truthy(found.classes["rbf.Db"].fields.findFirst, name)
      end
    end
  end)

  it("knows the types of columns, and what insert may leave out", function()
    local _, found = write(kinds)
    local row, new = found.classes["rbf.row.kinds"].fields, found.classes["rbf.new.kinds"].fields
    local set, where = found.classes["rbf.set.kinds"].fields, found.classes["rbf.where.kinds"].fields
    local text = read(kinds)
    local function has(line) assert.truthy(text:find("\n---@field " .. line .. "\n", 1, true), line) end
    has "id string uuid"
    has "seq integer bigint"
    has "big? integer bigint"
    has "price string numeric(10,2)"
    has "ratio? number double precision"
    has "yes boolean boolean"
    has "doc any jsonb"
    has "raw? string bytea"
    has "names string[] text[]"
    has "grid? integer[][] integer[]"
    has [[feeling? "sad"|"it's \"fine\"" mood]]
    has 'feelings? ("sad"|"it\'s \\"fine\\"")[] mood[]'
    has "size integer positive"
    has "labels? string[] tags"
    has '["odd name"]? string text'
    assert.is_nil(row.gone)
    assert.is_nil(new.seq)
    assert.is_nil(new.doubled)
    assert.is_nil(set.doubled)
    assert.truthy(where.doubled)
    assert.same({ "integer" }, new.small)
    has "big? integer|rbf.Null"
    has "id? string"
    has "counter? integer"
    assert.truthy(text:find('name: "audit.log", values', 1, true))
    assert.truthy(text:find('name: "kinds"|"public.kinds", options', 1, true))
    assert.truthy(found.classes["rbf.row.happy"], "a view has rows")
    assert.truthy(found.classes["rbf.row.parts"])
    for _, name in ipairs { "parts_2030", "rbf_results", "odd.name" } do
      assert.is_nil(found.classes["rbf.row." .. name])
    end
  end)

  it("says what rows hold in a handler", function()
    kinds:write("row.lua", [[
      local app = require("rbf").defineBackend { queues = { rows = {} } }
      return { row = app:mutation("rows", { path = "row", handler = function(r)
        local row = r.db:insert("kinds", { small = 3, big = 2 ^ 40, price = "1.50", ratio = 0.5, doc = { a = 1 },
          raw = "\0\1", names = { "a", "b" }, grid = { { 1, 2 }, { 3, 4 } }, feeling = "sad", feelings = { "sad" },
          size = 7, labels = { "x" }, ["odd name"] = "y" })
        local types = {}
        for name, v in pairs(row) do
          while type(v) == "table" and v[1] ~= nil do v, types[name] = v[1], (types[name] or "") .. "[]" end
          types[name] = type(v) .. (types[name] or "")
        end
        return types
      end }) }]])
    local _, found = write(kinds)
    kinds:start()
    local reply = kinds:call("rows.row", nil)
    assert.equal(200, reply.status, reply.raw)
    local row = found.classes["rbf.row.kinds"].fields
    for name, what in pairs(row) do
      local annotated = what[1]:gsub("%b()", "string"):gsub([["sad"|"it's \"fine\""]], "string")
        :match "^[%w%[%]]+":gsub("integer", "number"):gsub("any", "table")
      assert.equal(reply.body[name], annotated, name .. ": " .. what[1])
    end
    for name in pairs(reply.body) do assert.truthy(row[name], name) end
  end)

  it("writes the same again, and leaves a file that is up to date alone", function()
    write(signup)
    local path = signup.app .. "/.rbf-types.lua"
    local before, names = read(signup), names_in(signup.app)
    local inode = lfs.attributes(path, "ino")
    assert.truthy(write(signup):find "is up to date")
    assert.equal(inode, lfs.attributes(path, "ino"))
    proc.write_file(path, "-- old\n")
    assert.truthy(write(signup):find "written")
    assert.equal(before, read(signup))
    assert.equal(names, names_in(signup.app), "something was left beside it")
  end)

  it("is not one of the app's files", function()
    os.remove(signup.app .. "/.rbf-types.lua")
    local _, before = host.rbf("check", signup.app, "--json")
    write(signup)
    local _, after = host.rbf("check", signup.app, "--json")
    assert.equal(cjson.decode(before).version, cjson.decode(after).version)
  end)

  it("writes to where it is told", function()
    write(signup)
    local text = read(signup)
    os.remove(signup.app .. "/.rbf-types.lua")
    for _, flags in ipairs { { "--stdout" }, { "--output", "-" } } do
      local code, out, err = host.rbf("types", signup.app, "--database-url", signup.db_url, unpack(flags))
      assert.equal(0, code, err)
      assert.equal(text, out)
    end
    assert.is_nil(lfs.attributes(signup.app .. "/.rbf-types.lua"))
    local path = signup.dir .. "/elsewhere.lua"
    assert.equal(0, (host.rbf("types", signup.app, "--database-url", signup.db_url, "--output", path)))
    assert.equal(text, proc.read_file(path))
    local code, _, err = host.rbf("types", signup.app, "--output", signup.dir .. "/no/where.lua")
    assert.equal(1, code)
    assert.truthy(err:find("cannot write " .. signup.dir, 1, true), err)
  end)

  it("does without a database, and says so", function()
    local code, out, err = host.rbf("types", signup.app, "--stdout", { cwd = signup.dir })
    assert.equal(0, code)
    assert.truthy(err:find("no database", 1, true), err)
    local found = annotations.read(out)
    assert.truthy(found.classes["rbf.r.jobs.users.create"])
    assert.is_nil(found.classes["rbf.row.users"])
  end)

  it("fails, and leaves the file, when the database does not answer or the app does not load", function()
    write(signup)
    local before = read(signup)
    local code, _, err = host.rbf("types", signup.app, "--database-url", "postgresql://127.0.0.1:1/x")
    assert.equal(1, code)
    assert.truthy(err:find("127.0.0.1", 1, true), err)
    signup:write("broken.lua", "local x = 1\nlocal y = x +")
    code, _, err = host.rbf("types", signup.app, "--database-url", signup.db_url)
    os.remove(signup.app .. "/broken.lua")
    assert.equal(1, code)
    assert.truthy(err:find "broken.lua:2: ", err)
    assert.equal(before, read(signup))
  end)

  it("finds the database of a running rbf dev of the same app", function()
    local app, state = signup.app, signup.dir .. "/state"
    os.remove(app .. "/.rbf-types.lua")
    local dev = proc.spawn { host.binary(), "dev", app, "--state-dir", state, cwd = signup.dir,
      out = signup.dir .. "/dev.log", err = signup.dir .. "/dev.log", env = { DATABASE_URL = false, NATS_URL = false } }
    proc.eventually(function()
      return (proc.read_file(signup.dir .. "/dev.log") or ""):find("Ctrl-C", 1, true)
    end, 60000, function() return "rbf dev; it said:\n" .. (proc.read_file(signup.dir .. "/dev.log") or "") end)
    local code, out, err = host.rbf("types", app, "--state-dir", state)
    local _, _, other = host.rbf("types", kinds.app, "--stdout", "--state-dir", state)
    dev:finish("TERM", 20000)
    assert.equal(0, code, err)
    assert.truthy(out:find "2 tables", out)
    assert.truthy(read(signup):find("rbf.row.users", 1, true))
    assert.truthy(other:find("no database", 1, true), "took the database of another app")
  end)
end)

-- What editors make of it. The server is in no Debian package: RBF_LUALS names its binary, where one is.
describe("lua-language-server", function()
  local binary = os.getenv "RBF_LUALS"

  it("completes and checks what is annotated", function()
    if not binary then
      return pending "lua-language-server is not here (RBF_LUALS names its binary)"
    end
    local stage = host.stage { app = "handlers" }
    write(stage)
    stage:write("editor.lua", [[
      local rbf = require "rbf"
      local app = require("app").app
      return app:mutation("jobs", {
        path = "users.create",
        ---@param r rbf.r.jobs.users.create
        handler = function(r)
          print(r.input.email, r.input.emial)
          print(r.params.nothing)
          local user = r.db:findFirst("users", { where = { email = r.input.email } })
          if not user then rbf.fail { status = 404 } end
          print(user.name, user.nmae)
          r.scheduler:enqueu("x")
          local mail = r.db:insert("emails", { user_id = user.id, subject = "x" })
          print(mail.id, mail.idd)
        end,
      }), app:query("jobs", { path = "q", handler = function(q) q.scheduler:enqueue() end })]])
    stage:write("script.lua", [[
      local backend = require("rbf").backend
      local user = backend.mutations.createUser { input = { email = "x@y.z", name = 3 } }
      print(user.id, user.idd)]])
    proc.write_file(stage.app .. "/.luarc.json", cjson.encode {
      ["runtime.version"] = "LuaJIT", ["workspace.library"] = { lfs.currentdir() .. "/lua/rbf/meta" },
      ["runtime.special"] = { ["rbf.fail"] = "error", ["rbf.retry"] = "error" },
    })
    proc.run { binary, "--check=" .. stage.app, "--checklevel=Information", "--check_format=json",
      "--logpath=" .. stage.dir .. "/ls", timeout = 120000 }
    local found = {}
    for file, list in pairs(cjson.decode(proc.read_file(stage.dir .. "/ls/check.json"))) do
      for _, d in ipairs(list) do
        found[#found + 1] = ("%s:%d %s"):format(file:match "[^/]+$", d.range.start.line + 1,
          d.message:match "`([%w_]+)`" or d.message)
      end
    end
    stage:close()
    table.sort(found)
    assert.same({ "editor.lua:11 nmae", "editor.lua:12 enqueu", "editor.lua:14 idd", "editor.lua:16 enqueue",
      "editor.lua:7 emial", "editor.lua:8 nothing", "script.lua:2 integer", "script.lua:3 idd" }, found)
  end)
end)

describe("rbf check", function()
  local dir

  setup(function() dir = proc.temp_dir "check" end)

  local function app(text)
    proc.write_file(dir .. "/app.lua", text)
    return dir
  end

  it("counts operations and queues, without any server", function()
    local code, out, err = host.rbf("check", "handlers")
    assert.equal(0, code, err)
    assert.equal("ok: 4 operations on 2 queues\n", out)
    code, out = host.rbf("check", "handlers", "--json")
    assert.equal(0, code)
    local said = cjson.decode(out)
    assert.is_true(said.ok)
    assert.equal(4, #said.operations)
    assert.equal(2, said.queues)
  end)

  it("names file and line of the first fault", function()
    app 'local rbf = require "rbf"\nlocal app = rbf.defineBackend { queues = { jobs = {} } }\n'
    proc.write_file(dir .. "/op.lua", 'local rbf = require "rbf"\nrbf.defineBackend { queues = { j = {} } }\n'
      .. '  :mutation("j", { path = "x", handlr = print })\n')
    local code, out, err = host.rbf("check", dir)
    assert.equal(1, code)
    assert.equal("", out)
    local place = dir .. "/op.lua:3: "
    assert.truthy(err:find(place, 1, true) and err:find "did you mean 'handler'", err)
    code, out, err = host.rbf("check", "--json", dir)
    assert.equal(1, code)
    assert.equal("", err)
    local said = cjson.decode(out)
    assert.is_false(said.ok)
    assert.same({ dir .. "/op.lua", 3 }, { said.file, said.line })
    assert.truthy(said.message:find "^%S+ ?.*unknown key 'handlr'" and not said.message:find(place, 1, true))
    os.remove(dir .. "/op.lua")
  end)

  it("checks the settings of main.lua", function()
    app 'local rbf = require "rbf"\nreturn { app = rbf.defineBackend { queues = { jobs = {} } } }\n'
    proc.write_file(dir .. "/main.lua", 'return require("rbf").createBackend(require("app").app, { workerz = 2 })\n')
    local code, _, err = host.rbf("check", dir)
    os.remove(dir .. "/main.lua")
    assert.equal(1, code)
    assert.truthy(err:find "workerz", err)
  end)
end)
