-- The cache: in each worker, and the same in Redis. What is particular to one of them stands at the
-- end, and in cache_away_spec.lua.
local host = require "spec.support.host"
local servers = require "spec.support.servers"
local proc = require "spec.support.proc"

for _, place in ipairs { "in each worker", "in Redis" } do
  describe("the cache " .. place, function()
    local stage, in_redis, env

    before_each(function()
      stage = host.stage { app = "spec/apps/cache" }
      in_redis = place == "in Redis"
      env = { REDIS_URL = in_redis and servers.redis().url }
    end)

    after_each(function()
      host.close(stage)
    end)

    -- A host whose cache is there.
    local function start(o)
      o = o or {}
      o.env = env
      local running = stage:start(o)
      if in_redis then
        running:await_log(function(line)
          return line.msg == "Redis is the cache" or line.msg == "Redis is back"
        end, 10000, o.workers)
      end
      return running
    end

    -- One for queries, one for mutations.
    local function start_both(o)
      local reads = start { args = { "--queues", "reads", unpack(o or {}) } }
      return reads, start { args = { "--queues", "writes", unpack(o or {}) } }
    end

    local function get(path, headers)
      return stage:call("reads." .. path, nil, { headers = headers })
    end

    local function value(path)
      local reply = get(path)
      assert.equal(200, reply.status, reply.raw)
      return reply.body
    end

    local function ask(code)
      local reply = stage:call("reads.ask", { code = code })
      assert.equal(200, reply.status, reply.raw)
      return reply.body
    end

    local function tell(code)
      return stage:call("writes.tell", { code = code })
    end

    local function change(id, new)
      local reply = stage:call("writes.change." .. id, { value = new })
      assert.equal(200, reply.status, reply.raw)
    end

    -- Behind the cache's back.
    local function update(id, new)
      stage.db:query("UPDATE items SET value = $2 WHERE id = $1", id, new)
    end

    -- fn() is true: in Redis at last, as one that has no time for 250 ms (a busy machine's) is a miss.
    local function hit(fn)
      if in_redis then return proc.eventually(fn, nil, "a hit") end
      return assert(fn())
    end

    --- A read gives what another gave before a change behind the cache's back: what the row is by now.
    local function assert_kept(path, id, headers)
      return hit(function()
        local before = get(path, headers)
        assert.equal(200, before.status, before.raw)
        local new = before.body .. "+"
        update(id, new)
        return get(path, headers).body == before.body and new
      end)
    end

    -- What a handler that runs this code is told.
    local function misuse(queue_path, code)
      local reply = stage:call(queue_path, { code = ([[
        local said = tostring(select(2, pcall(function() %s end)))
        return (said:gsub("[\128-\255]", "?"))]]):format(code) })
      assert.equal(200, reply.status, reply.raw)
      return reply.body
    end

    local function await_waiting(lock)
      proc.eventually(function()
        return stage.db:value([[SELECT count(*) FROM pg_locks
          WHERE locktype = 'advisory' AND objid = $1 AND NOT granted]], lock) == 1
      end, 10000, "somebody to wait for the lock")
    end

    -- Calls fn, and waits until what it invalidated has arrived where queries run.
    local function and_told(fn)
      hit(function()
        ask 'r.cache:get "item:probe" r.cache:set("item:probe", 1, { ttl = 3600 })'
        return ask 'return r.cache:get "item:probe"' == 1
      end)
      fn()
      proc.eventually(function()
        return ask 'return r.cache:get "item:probe" == nil'
      end, 10000, "the invalidation to arrive")
    end

    describe("of a query that says `cache = …`", function()
      it("answers without the handler, and without asking the database", function()
        local running = start { args = { "--no-sweeper", "--no-cron" } }
        local last = [[SELECT max(query_start) FROM pg_stat_activity
          WHERE datname = current_database() AND pid <> pg_backend_pid()]]
        local before, asked = nil, 0
        proc.eventually(function() -- each 5 s the host looks into the outbox: between two such looks
          local kept = value "item.1"
          update("1", kept .. "+")
          proc.eventually(function()
            return stage.db:value [[SELECT count(*) FROM pg_stat_activity WHERE state <> 'idle'
              AND datname = current_database() AND pid <> pg_backend_pid()]] == 0
          end, 5000, "the last COMMIT")
          before, asked = stage.db:value(last), asked + 51
          local same = true
          for _ = 1, 50 do
            same = value "item.1" == kept and same
          end
          assert.truthy(same or in_redis, "a hit")
          return same and before == stage.db:value(last)
        end, nil, "50 hits without the database")
        assert.equal("two", value "item.2")
        assert.not_equal(before, stage.db:value(last))
        assert.equal(0, running:stop())
        local hits, misses = running.stats.cache_hits, running.stats.cache_misses
        assert.equal(asked + 1, hits + misses)
        assert.truthy(misses == 2 or in_redis and hits >= 50, misses .. " misses")
      end)

      it("forgets after its ttl", function()
        start()
        assert.equal("one", value "brief.1")
        update("1", "changed")
        proc.eventually(function()
          return value "brief.1" == "changed"
        end, 10000, "the entry's end")
      end)

      it("lets the middleware decide first who may see it", function()
        start()
        assert.equal(401, get("guarded.1").status)
        assert.equal("one", get("guarded.1", { ["X-Token"] = "good" }).body)
        assert_kept("guarded.1", "1", { ["X-Token"] = "good" })
        assert.equal(401, get("guarded.1").status)
      end)

      it("keeps no errors, and nothing without a key", function()
        start()
        assert.equal(404, get("item.3").status)
        stage.db:exec "INSERT INTO items VALUES ('3', 'three')"
        assert.equal("three", value "item.3")
        assert.equal("one", value "choosy.1")
        assert.equal("two", value "choosy.2")
        update("2", "changed")
        assert_kept("choosy.1", "1")
        assert.equal("changed", value "choosy.2")
        assert.equal(500, get("badOutput").status)
        assert.equal(500, get("badOutput").status)
      end)

      it("says where a key function gives no key", function()
        local running = start()
        assert.equal(500, get("badKey").status)
        local line = running:await_log(function(l) return l.error and l.msg == "query failed" end)
        assert.equal("app/cache.lua:44: cache.key: a key must be a string (or nil: not to be cached), found a table",
          line.error)
      end)

      it("gives the new answer after a mutation's reply", function()
        start { workers = in_redis and 1 or 2 }
        for i = 1, host.scaled(40, 10) do
          change("1", "v" .. i)
          for _ = 1, 4 do
            assert.equal("v" .. i, value "item.1")
          end
        end
      end)
    end)

    describe("in a query", function()
      it("gives copies of what was set", function()
        start()
        local seen = hit(function() return ask [[
          local t = { list = { 1, 2 }, empty = rbf.array(), null = rbf.null, text = "ü\n" }
          r.cache:set("t", t)
          t.list[1] = 99
          local a = r.cache:get "t"
          if not a then return false end
          a.list[1] = 5
          local b = r.cache:get "t"
          return b and { first = b.list[1], null = b.null == rbf.null, same = a == b, b = b } or false
        ]] end)
        assert.equal(1, seen.first)
        assert.is_true(seen.null)
        assert.is_false(seen.same)
        assert.equal("ü\n", seen.b.text)
        hit(function()
          return stage:call("reads.ask", { code = 'return r.cache:get "t"' }).raw:find('"empty":[]', 1, true)
        end)
      end)

      it("finds nothing where nothing is, and null where null was set", function()
        start()
        assert.is_true(ask 'return r.cache:get "none" == nil')
        hit(function() return ask 'r.cache:set("null", rbf.null) return r.cache:get "null" == rbf.null' end)
        hit(function() return ask 'r.cache:set("no", false) return r.cache:get "no" == false' end)
      end)

      it("forgets after the ttl, and at once what is invalidated", function()
        start()
        hit(function()
          ask 'r.cache:set("a", 1, { ttl = 0.2 }) r.cache:set("b", 1)'
          proc.eventually(function()
            return ask 'return r.cache:get "a" == nil'
          end, 10000, "the entry's end")
          return ask 'return r.cache:get "b"' == 1
        end)
        assert.is_true(ask 'r.cache:invalidate "b" return r.cache:get "b" == nil')
        assert.is_true(ask 'return r.cache:get "b" == nil')
      end)

      it("says what is wrong in one line", function()
        start()
        local cases = {
          { 'r.cache:get()', "app/cache.lua:18: cache:get: a key must be a string, found nil" },
          { 'r.cache:get ""', "cache:get: a key may not be empty" },
          { 'r.cache:get(("x"):rep(1025))', "cache:get: a key may have 1024 bytes at most" },
          { 'r.cache:get "\\255"', "cache:get: a key must be UTF-8 without NUL" },
          { 'r.cache.get("a")', "use cache:get(" },
          { 'r.cache:fetch "a"', "cache has no 'fetch'" },
          { 'r.cache:set("a", nil)', "cache:set: nil cannot be kept; cache:invalidate(key)" },
          { 'r.cache:set("a", print)', "cache:set: value: a function cannot be sent as JSON" },
          { 'r.cache:set("a", 1, { tll = 1 })', "cache:set: unknown key 'tll', did you mean 'ttl'?" },
          { 'r.cache:set("a", 1, { ttl = 0 })', "cache:set: ttl must be a number of seconds above 0" },
          { 'r.cache:set("a", 1, { ttl = { seconds = 1 } })', "write ttl = 60, not ttl = { seconds = 60 }" },
          { 'table.sort({ 1, 2 }, function() return r.cache:get "a" end)', "table.sort" },
        }
        for _, case in ipairs(cases) do
          local said = misuse("reads.ask", case[1])
          assert.truthy(said:find(case[2], 1, true), said)
        end
      end)

      local limited = place == "in each worker" and it or function() end -- Redis has its own limit
      limited("forgets what was not asked for, when it is full", function()
        start { args = { "--cache-bytes", "100000" } }
        ask 'for i = 1, 500 do r.cache:set("k" .. i, ("x"):rep(1000)) r.cache:get "k1" end'
        local kept = ask 'local n = 0 for i = 1, 500 do if r.cache:get("k" .. i) then n = n + 1 end end return n'
        assert.truthy(kept > 40 and kept < 100, kept .. " kept")
        assert.is_true(ask 'return r.cache:get "k1" ~= nil and r.cache:get "k500" ~= nil and r.cache:get "k2" == nil')
      end)
    end)

    describe("in a mutation", function()
      it("cannot be read or written, which is said in one line", function()
        start()
        for _, verb in ipairs { "get", "set" } do
          local said = misuse("writes.tell", ('r.cache:%s("a", 1)'):format(verb))
          assert.truthy(said:find(("app/cache.lua:18: cache:%s is for queries"):format(verb), 1, true), said)
        end
        local said = misuse("writes.tell", 'r.cache:invalidate ""')
        assert.truthy(said:find("cache:invalidate: a key may not be empty", 1, true), said)
      end)

      it("is one row for all keys, gone when they are told", function()
        start()
        stage.db:exec [[CREATE TABLE seen (path TEXT, type TEXT, keys JSONB);
          CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS
            'BEGIN INSERT INTO seen VALUES (NEW.path, NEW.type, NEW.data); RETURN NULL; END';
          CREATE TRIGGER see AFTER INSERT ON rbf_outbox FOR EACH ROW EXECUTE FUNCTION see()]]
        assert.equal(200, tell([[
          for _ = 1, 3 do for i = 1, 100 do r.cache:invalidate("k" .. i) end end
        ]]).status)
        stage:settle { "writes" }
        assert.equal(1, stage:count "seen")
        local row = stage.db:query("SELECT path, type, jsonb_array_length(keys->'keys') n FROM seen")[1]
        assert.same({ path = stage.prefix .. "_RBF.cache.default", type = "message", n = "100" }, row)
      end)

      it("does nothing when the mutation fails, or a savepoint undoes it", function()
        start()
        hit(function()
          ask 'for _, k in ipairs { "a", "b", "c" } do r.cache:set(k, 1, { ttl = 3600 }) end'
          assert.equal(400, tell('r.cache:invalidate "a" rbf.fail { status = 400 }').status)
          assert.equal(200, tell([[
            r.db:savepoint(function() r.cache:invalidate "b" error "no" end)
            r.cache:invalidate "c"
          ]]).status)
          stage:settle { "writes" }
          assert.is_true(ask 'return r.cache:get "c" == nil')
          return ask 'return r.cache:get "a" == 1 and r.cache:get "b" == 1'
        end)
      end)
    end)

    describe("on several hosts", function()
      it("forgets everywhere what one invalidates", function()
        start_both()
        for i = 1, 5 do
          assert.equal(i == 1 and "one" or "v" .. i - 1, value "item.1")
          and_told(function() change("1", "v" .. i) end)
        end
        assert.equal("v5", value "item.1")
      end)

      -- A query reads the old row, the row changes, the query keeps what it read: never.
      it("does not keep what was read before the invalidation", function()
        start_both()
        stage.db:exec "SELECT pg_advisory_lock(7)"
        local slow = stage.client:start { subject = stage:subject("reads", "slow.1") }
        await_waiting(7)
        and_told(function() change("1", "new") end)
        stage.db:exec "SELECT pg_advisory_unlock(7)"
        assert.equal(0, stage.client:wait_all({ slow }))
        assert.equal("one", slow.reply.body)
        assert.equal("new", value "item.1")
        -- and without an invalidation it is kept, so that the above says something
        hit(function()
          and_told(function() change("1", "newer") end)
          assert.equal("newer", value "slow.1")
          update("1", "behind its back")
          return value "item.1" == "newer"
        end)
      end)

      -- COMMIT happens in PostgreSQL while the host that asked for it is dead already.
      it("is told by another host when one dies between COMMIT and telling", function()
        local _, writes = start_both { "--orphan-after", "500ms" }
        assert.equal("one", value "item.late")
        stage.db:exec "SELECT pg_advisory_lock(77)"
        stage.client:start { subject = stage:subject("writes", "change.late"), data = { value = "new" } }
        await_waiting(77)
        local pids = writes:workers()
        writes.process:kill "KILL"
        for _, pid in ipairs(pids) do
          proc.kill(pid, "KILL")
        end
        proc.eventually(function()
          return proc.stat(pids[1]) == nil or proc.stat(pids[1]) == "Z"
        end, 5000, "the worker to be gone")
        assert.equal("one", stage.db:value "SELECT value FROM items WHERE id = 'late'")
        stage.db:exec "SELECT pg_advisory_unlock(77)"
        proc.eventually(function()
          return stage.db:value "SELECT value FROM items WHERE id = 'late'" == "new"
        end, 5000, "the COMMIT")
        proc.eventually(function()
          return value "item.late" == "new"
        end, 15000, "the invalidation")
        proc.eventually(function()
          return stage:count "rbf_outbox" == 0
        end, 10000, "the row to go")
        assert.equal(0, stage:count "rbf_dead_letters")
      end)
    end)

    it("begins empty with new code", function()
      local running = start { watch = true }
      local now = assert_kept("item.1", "1")
      local version = get("item.1").version
      stage:write("more.lua", "return {}\n")
      proc.eventually(function()
        return get("choosy.2").version ~= version
      end, 20000, function() return "the reload; the host said:\n" .. running:tail() end)
      assert.equal(now, value "item.1")
    end)
  end)
end

describe("the cache of a worker", function()
  local nats_server, stage

  lazy_setup(function()
    nats_server = servers.new_nats()
  end)

  lazy_teardown(function()
    nats_server:stop()
  end)

  after_each(function()
    host.close(stage)
  end)

  it("begins empty when NATS is back: it may have missed something", function()
    stage = host.stage { app = "spec/apps/cache", nats = nats_server }
    local running = stage:start { env = { REDIS_URL = false } }
    local function item()
      return stage:call("reads.item.1").body
    end
    assert.equal("one", item())
    stage.db:exec "UPDATE items SET value = 'changed'"
    assert.equal("one", item())
    stage:restart_nats(nats_server, running)
    assert.equal("changed", item())
    -- and it is a cache again
    stage.db:exec "UPDATE items SET value = 'changed again'"
    assert.equal("changed", item())
  end)
end)
