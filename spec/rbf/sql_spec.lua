local fresh = require "spec.rbf.fakehost"

describe("SQL", function()
  local rbf, op, sql

  before_each(function()
    rbf = fresh()
    op, sql = rbf.op, require "rbf.sql"
  end)

  --- The message of what fn raises, which must blame this file.
  local function refusal(fn)
    local ok, why = pcall(fn)
    assert.is_false(ok)
    assert.matches("sql_spec%.lua:%d+: ", why)
    return (why:gsub("^.-:%d+: ", ""))
  end

  local function found(where)
    local text, params = sql.find("findMany", "t", { where = where })
    return (text:gsub('^SELECT %* FROM "t"', "")), params
  end

  describe("of a where", function()
    local wheres = {
      { "a value", function() return { id = 1 } end, ' WHERE "id" = $1', { 1 } },
      { "false, which is a value", function() return { on = false } end, ' WHERE "on" = $1', { false } },
      { "several columns, sorted", function() return { b = 2, a = "x", c = op.isNull() } end,
        ' WHERE ("a" = $1 AND "b" = $2 AND "c" IS NULL)', { "x", 2 } },
      { "odd names", function() return { ['a"; DROP TABLE t; --'] = 1 } end,
        ' WHERE "a""; DROP TABLE t; --" = $1', { 1 } },
      { "eq", function() return { a = op.eq(1) } end, ' WHERE "a" = $1', { 1 } },
      { "ne", function() return { a = op.ne(1) } end, ' WHERE "a" <> $1', { 1 } },
      { "gt", function() return { a = op.gt(1) } end, ' WHERE "a" > $1', { 1 } },
      { "gte", function() return { a = op.gte(1) } end, ' WHERE "a" >= $1', { 1 } },
      { "lt", function() return { a = op.lt(1) } end, ' WHERE "a" < $1', { 1 } },
      { "lte", function() return { a = op.lte(1) } end, ' WHERE "a" <= $1', { 1 } },
      { "like", function() return { a = op.like "x%" } end, ' WHERE "a" LIKE $1', { "x%" } },
      { "ilike", function() return { a = op.ilike "x%" } end, ' WHERE "a" ILIKE $1', { "x%" } },
      { "isNotNull", function() return { a = op.isNotNull() } end, ' WHERE "a" IS NOT NULL', {} },
      { "between", function() return { a = op.between(1, 2) } end, ' WHERE "a" BETWEEN $1 AND $2', { 1, 2 } },
      { "in_", function() return { a = op.in_ { 1, 2 } } end, ' WHERE "a" = ANY($1)', { { 1, 2 } } },
      { "in_ of nothing", function() return { a = op.in_ {} } end, ' WHERE "a" = ANY($1)', { {} } },
      { "notIn", function() return { a = op.notIn { 1, 2 } } end, ' WHERE "a" <> ALL($1)', { { 1, 2 } } },
      { "not_ on a column", function() return { a = op.not_(op.like "x%") } end, ' WHERE NOT ("a" LIKE $1)', { "x%" } },
      { "or_ on a column", function() return { a = op.or_(op.lt(1), op.gt(9)) } end,
        ' WHERE ("a" < $1 OR "a" > $2)', { 1, 9 } },
      { "or_ and and_", function()
        return op.or_({ a = 1, b = 2 }, op.and_({ c = 3 }, op.not_ { d = op.lt(4) }))
      end, ' WHERE (("a" = $1 AND "b" = $2) OR ("c" = $3 AND NOT ("d" < $4)))', { 1, 2, 3, 4 } },
      { "names that are keywords of Lua", function() return op["or"]({ a = op["in"] { 1 } }, op["not"] { b = 2 }) end,
        ' WHERE ("a" = ANY($1) OR NOT ("b" = $2))', { { 1 }, 2 } },
      { "rbf.all", function() return rbf.all end, "", {} },
    }
    for _, case in ipairs(wheres) do
      it("says " .. case[1], function()
        local text, params = found(case[2]())
        assert.equal(case[3], text)
        assert.same(case[4], params)
      end)
    end

    local missing = ({}).header -- as one that was not sent
    local refusals = {
      { "that is missing", function() sql.delete("t") end,
        "db:delete: where is missing; rbf.all means all rows" },
      { "that is missing in options", function() sql.find("findMany", "t", { limit = 1 }) end,
        "db:findMany: where is missing; rbf.all means all rows" },
      { "that a nil has emptied", function() sql.update("t", { a = 1 }, { where = { a = missing } }) end,
        "db:update: where is empty (was a value in it nil?); rbf.all means all rows" },
      { "with an empty branch", function() found(op.or_({ a = 1 }, { b = missing })) end,
        "db:findMany: where is empty (was a value in it nil?); rbf.all means all rows" },
      { "with a nil branch", function() op.and_({ a = 1 }, missing) end,
        "rbf.op.and_: argument 2 must be a condition such as { column = value } or an operator, found nil" },
      { "with rbf.all inside", function() op.or_({ a = 1 }, rbf.all) end,
        "rbf.op.or_: rbf.all stands alone, it cannot be argument 2" },
      { "with branches as a list", function() op.or_ { { a = 1 }, { b = 2 } } end,
        "rbf.op.or_ takes its conditions one by one, not as a list: rbf.op.or_({ a = 1 }, { b = 2 })" },
      { "with eq of nil", function() op.eq(missing) end,
        "rbf.op.eq: the value is nil; a missing value must not change what is found; rbf.op.isNull() finds NULL" },
      { "with ne of nothing", function() op.ne() end,
        "rbf.op.ne: the value is nil; a missing value must not change what is found; rbf.op.isNull() finds NULL" },
      { "with like of nil", function() op.like(missing) end, "rbf.op.like's pattern must be a string, found nil" },
      { "with between of nil", function() op.between(1, missing) end,
        "rbf.op.between: the second value is nil; a missing value must not change what is found; "
          .. "rbf.op.isNull() finds NULL" },
      { "with in_ of nil", function() op.in_(missing) end, "rbf.op.in_ takes one list: rbf.op.in_ { 1, 2, 3 }, found nil" },
      { "with in_ of a list with a hole", function() op.in_ { 1, nil, 3 } end,
        "rbf.op.in_ takes a list without holes and other keys; entry 2 is nil" },
      { "with in_ of NULL", function() op.in_ { 1, rbf.null } end,
        "rbf.op.in_: entry 2 is rbf.null, which equals nothing in SQL; use rbf.op.isNull() or rbf.op.isNotNull()" },
      { "with notIn of nothing", function() op.notIn {} end,
        "rbf.op.notIn's list is empty, which every row fits; rbf.all says so" },
      { "with rbf.null", function() found { a = rbf.null } end,
        "db:findMany: where: 'a' is rbf.null, which equals nothing in SQL; use rbf.op.isNull() or rbf.op.isNotNull()" },
      { "with an operator that was not called", function() found { a = op.isNull } end,
        "db:findMany: where: 'a' is a function; operators are called: rbf.op.isNull()" },
      { "with a table", function() found { a = { 1, 2 } } end,
        "db:findMany: where: 'a' is a table; rbf.op.in_ {…} finds one of several values, "
          .. "rbf.op.eq {…} a jsonb or array value" },
      { "that is a list", function() found { "a" } end,
        "db:findMany: where: a column must be a name, found entry [1]" },
      { "with an operator and no column", function() found(op.eq(1)) end,
        "db:findMany: where: rbf.op.eq needs a column: { column = rbf.op.eq(…) }" },
      { "that is SQL", function() found "id = 1" end,
        "db:findMany: where must be a table such as { id = 1 }, found the string \"id = 1\"" },
      { "with a misspelt operator", function() found { a = op.equal(1) } end,
        "rbf.op has no 'equal'" },
    }
    for _, case in ipairs(refusals) do
      it("refuses one " .. case[1], function()
        assert.equal(case[3], refusal(case[2]))
      end)
    end
  end)

  it("finds with columns, order and limits", function()
    local text, params = sql.find("findMany", "app.Users", {
      where = { a = 1 }, columns = { "id", "na me" },
      orderBy = { "id", { name = "desc" }, { at = "DESC nulls last" } }, limit = 10, offset = 20,
    })
    assert.equal('SELECT "id", "na me" FROM "app"."Users" WHERE "a" = $1 '
      .. 'ORDER BY "id", "name" DESC, "at" DESC NULLS LAST LIMIT $2 OFFSET $3', text)
    assert.same({ 1, 10, 20 }, params)
    assert.equal('SELECT "id" FROM "t" ORDER BY "at" DESC LIMIT 1',
      (sql.find("findFirst", "t", { where = rbf.all, columns = "id", orderBy = { at = "desc" } })))
  end)

  it("inserts", function()
    local text, params = sql.insert("t", { { a = 1 }, { b = rbf.null, c = false } })
    assert.equal('INSERT INTO "t" ("a", "b", "c") VALUES ($1, DEFAULT, DEFAULT), (DEFAULT, $2, $3) RETURNING *', text)
    assert.same({ 1, rbf.null, false }, params)
    assert.equal('INSERT INTO "t" DEFAULT VALUES RETURNING *', (sql.insert("t", { {} })))
  end)

  it("inserts one row: a text is kept for a table and its columns, values are each row's", function()
    local function check(name, row, expected, values)
      local text, params = sql.insert(name, { row })
      assert.equal("INSERT INTO " .. expected .. " RETURNING *", text)
      assert.same(values, params)
    end
    for i = 1, 2 do
      check("t", { b = i, a = "x" }, '"t" ("a", "b") VALUES ($1, $2)', { "x", i })
      check("t", { a = i }, '"t" ("a") VALUES ($1)', { i })
      check("s.t", { a = i }, '"s"."t" ("a") VALUES ($1)', { i })
    end
    assert.equal('INSERT INTO "t" ("a") VALUES ($1) ON CONFLICT DO NOTHING RETURNING *',
      (sql.insert("t", { { a = 1 } }, { onConflict = "ignore" })))
    assert.matches("belongs into where", refusal(function() sql.insert("t", { { a = op.eq(1) } }) end))
    for i = 1, 600 do check("t" .. i, { a = i }, ('"t%d" ("a") VALUES ($1)'):format(i), { i }) end
    check("t1", { a = 1 }, '"t1" ("a") VALUES ($1)', { 1 })
  end)

  local conflicts = {
    { "ignore", "ON CONFLICT DO NOTHING" },
    { { columns = "a" }, 'ON CONFLICT ("a") DO NOTHING' },
    { { constraint = "t_key" }, 'ON CONFLICT ON CONSTRAINT "t_key" DO NOTHING' },
    { { columns = { "a", "b" }, update = { "c" } }, 'ON CONFLICT ("a", "b") DO UPDATE SET "c" = EXCLUDED."c"' },
    { { columns = { "a" }, update = { "b", c = 9 } },
      'ON CONFLICT ("a") DO UPDATE SET "b" = EXCLUDED."b", "c" = $4' },
    { "all", 'ON CONFLICT ("a") DO UPDATE SET "b" = EXCLUDED."b", "c" = EXCLUDED."c"' },
  }
  for _, case in ipairs(conflicts) do
    it("inserts, on a conflict: " .. case[2], function()
      local c = case[1] == "all" and { columns = "a", update = rbf.all } or case[1]
      local text, params = sql.insert("t", { { a = 1, b = 2, c = 3 } }, { onConflict = c })
      assert.equal('INSERT INTO "t" ("a", "b", "c") VALUES ($1, $2, $3) ' .. case[2] .. " RETURNING *", text)
      assert.same({ 1, 2, 3, type(c) == "table" and type(c.update) == "table" and c.update.c or nil }, params)
    end)
  end

  it("updates and deletes", function()
    local text, params = sql.update("t", { b = rbf.null, a = 2 }, { where = { id = 1 } })
    assert.equal('UPDATE "t" SET "a" = $1, "b" = $2 WHERE "id" = $3 RETURNING *', text)
    assert.same({ 2, rbf.null, 1 }, params)
    assert.equal('DELETE FROM "t" RETURNING *', (sql.delete("t", { where = rbf.all })))
  end)

  local mistakes = {
    { "a misspelt option", function() sql.find("findMany", "t", { were = { a = 1 } }) end,
      "db:findMany: unknown key 'were', did you mean 'where'? (known: columns, limit, offset, orderBy, where)" },
    { "a limit of findFirst", function() sql.find("findFirst", "t", { where = rbf.all, limit = 2 }) end,
      "db:findFirst: unknown key 'limit' (known: columns, orderBy, where)" },
    { "a where that is not under its name", function() sql.delete("t", { id = 1 }) end,
      "db:delete: unknown key 'id' (known: where)" },
    { "no columns", function() sql.find("findMany", "t", { where = rbf.all, columns = {} }) end,
      "db:findMany: columns is empty" },
    { "columns with a hole", function() sql.find("findMany", "t", { where = rbf.all, columns = { "a", nil, "b" } }) end,
      "db:findMany: columns: a column must be a name, found nil" },
    { "a negative limit", function() sql.find("findMany", "t", { where = rbf.all, limit = -1 }) end,
      "db:findMany: limit must be a whole number from 0 on, found the number -1" },
    { "a limit that is text", function() sql.find("findMany", "t", { where = rbf.all, limit = "1" }) end,
      "db:findMany: limit must be a whole number from 0 on, found the string \"1\"" },
    { "SQL as a direction", function()
      sql.find("findMany", "t", { where = rbf.all, orderBy = { a = "desc; DROP TABLE t" } })
    end, "db:findMany: orderBy: 'a' must be one of asc, asc nulls first, asc nulls last, desc, desc nulls first, "
      .. "desc nulls last, found the string \"desc; DROP TABLE t\"" },
    { "an order without order", function()
      sql.find("findMany", "t", { where = rbf.all, orderBy = { a = "desc", b = "asc" } })
    end, "db:findMany: orderBy: { a = …, b = … } has no order; write { { a = … }, { b = … } }" },
    { "nothing to set", function() sql.update("t", {}, { where = rbf.all }) end,
      "db:update: there is nothing to set (nil is absent; rbf.null writes NULL)" },
    { "an operator as a value", function() sql.update("t", { a = op.eq(1) }, { where = rbf.all }) end,
      "db:update: rbf.op.eq belongs into where, it is no value" },
    { "rows with a hole", function() sql.insert("t", { { a = 1 }, nil, { a = 3 } }) end,
      "db:insert takes one row, or a list of rows without holes and other keys; row 2 is nil" },
    { "rows with a key beside them", function() sql.insert("t", { { a = 1 }, a = 2 }) end,
      "db:insert takes one row, or a list of rows without holes and other keys; row 2 is nil" },
    { "a conflict without columns", function() sql.insert("t", { { a = 1 } }, { onConflict = { update = { "a" } } }) end,
      "db:insert: onConflict needs columns (or constraint): those that the unique index is on" },
    { "a conflict of another kind", function() sql.insert("t", { { a = 1 } }, { onConflict = "update" }) end,
      "db:insert: onConflict must be \"ignore\" or { columns = {…}, update = {…} }, found the string \"update\"" },
    { "a conflict that updates nothing", function()
      sql.insert("t", { { a = 1 } }, { onConflict = { columns = "a", update = {} } })
    end, 'db:insert: onConflict.update is empty; leave it out (or onConflict = "ignore") to do nothing' },
    { "a table without a name", function() sql.delete("", { where = rbf.all }) end,
      "db:delete's table must be a name, found the string \"\"" },
    { "more values than the protocol counts", function()
      local rows = {}
      for i = 1, 65536 do rows[i] = { a = i } end
      sql.insert("t", rows)
    end, "db:insert: more than 65535 values, which is what PostgreSQL takes at once; do it in parts" },
  }
  for _, case in ipairs(mistakes) do
    it("refuses " .. case[1], function()
      assert.equal(case[3], refusal(case[2]))
    end)
  end
end)
