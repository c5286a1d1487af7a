/* SPDX-License-Identifier: MIT */
/* api_db - statements go out by a yield, results come in as Lua values. lua/rbf/db.lua is the only
 * caller: sql() first, then, when it said true, one of the readers before anything else runs. */
#include "pg/pgtypes.h"
#include "vm/vm.h"
#include <stdlib.h>
#include <string.h>

#define INT_MAX_EXACT 9007199254740992LL /* 2^53 */
#define OID_TEXT 25
#define OID_FIRST_OF_USERS 16384 /* FirstNormalObjectId: pg_type alone knows what it is */

/* ---- statements ---- */

static void reserve_params(struct coro *co, size_t n) {
    if (n <= co->cap)
        return;
    co->cap = n;
    co->offsets = xrealloc(co->offsets, n * sizeof *co->offsets);
    co->params = xrealloc(co->params, n * sizeof *co->params);
}

/* The statement's text, at 1, into the call. -1 with err. */
static int put_text(lua_State *L, struct buf *text, struct err *err) {
    size_t n;
    const char *s = luaL_checklstring(L, 1, &n);
    if (memchr(s, 0, n))
        return err_set(err, ERR_INVALID, "the statement holds a NUL byte");
    buf_reset(text);
    buf_put(text, s, n + 1);
    return 0;
}

/* Types are the list at 3 once they are known; what is not in it is text. */
static unsigned type_at(lua_State *L, bool list, int i) {
    unsigned oid = OID_TEXT;
    if (!list || !lua_istable(L, 3))
        return 0;
    lua_rawgeti(L, 3, i + 1);
    if (lua_isnumber(L, -1))
        oid = (unsigned)lua_tonumber(L, -1);
    lua_pop(L, 1);
    return oid;
}

/* Statement at 1 and n parameters into the call: behind it, or the entries of the list at 2. 0,
 * PARAM_UNTYPED, or -1 with err. */
static int put_statement(struct vm *vm, lua_State *L, int n, bool list, struct err *err) {
    struct call *c = vm_current(vm, L);
    struct coro *co = c->coro;
    reserve_params(co, (size_t)n);
    if (put_text(L, &co->text, err) != 0)
        return -1;
    for (int i = 0; i < n; i++) {
        size_t start = co->text.len;
        if (list)
            lua_rawgeti(L, 2, i + 1);
        int rc = param_put(vm, L, list ? lua_gettop(L) : i + 2, i + 1, type_at(L, list, i),
                           &co->text, err);
        if (rc < 0 || rc == PARAM_UNTYPED)
            return rc;
        if (list)
            lua_pop(L, 1);
        co->offsets[i] = rc == PARAM_NULL ? SIZE_MAX : start;
        buf_putc(&co->text, 0);
    }
    for (int i = 0; i < n; i++) /* only now: the text may have moved */
        co->params[i] = co->offsets[i] == SIZE_MAX ? NULL : co->text.p + co->offsets[i];
    c->sql = co->text.p;
    c->n_params = n;
    c->params = co->params;
    return 0;
}

/* Inside table.sort and the like nobody can wait. */
static int refuse_yield(lua_State *L) {
    lua_pushnil(L);
    return 1;
}

static int refuse(lua_State *L, const struct err *err) {
    lua_pushnil(L);
    lua_pushstring(L, err->msg);
    return 2;
}

static int ask_sql(lua_State *L, int n, bool list) {
    struct err err;
    if (!lua_isyieldable(L))
        return refuse_yield(L);
    int rc = put_statement(vm_of(L), L, n, list, &err);
    if (rc < 0)
        return refuse(L, &err);
    if (rc == PARAM_UNTYPED) {
        lua_pushliteral(L, "types");
        return 1;
    }
    return coro_yield(L, ASK_SQL);
}

/* (sql, ...) → true: read the result | false, message, sqlstate or nil: it failed at the
 * server | nil, message or nothing: it was not sent | "types": nor was it, ask for the types of its
 * parameters and use sql_list. */
static int l_sql(lua_State *L) {
    return ask_sql(L, lua_gettop(L) - 1, false);
}

/* The same as (sql, list of parameters, types or nil, length or nil): there may be more than a Lua
 * call can have arguments. */
static int l_sql_list(lua_State *L) {
    lua_settop(L, 4);
    int n = lua_isnil(L, 4) ? (int)lua_objlen(L, 2) : (int)luaL_checkinteger(L, 4);
    return ask_sql(L, n, true);
}

/* (sql) → true, list of the parameters' type oids | as sql */
static int l_types(lua_State *L) {
    struct call *c = vm_current(vm_of(L), L);
    struct err err;
    if (!lua_isyieldable(L))
        return refuse_yield(L);
    if (put_text(L, &c->coro->text, &err) != 0)
        return refuse(L, &err);
    c->sql = c->coro->text.p;
    c->n_params = 0;
    return coro_yield(L, ASK_TYPES);
}

/* (oid) → the type of its arrays | nil: none that the host knows */
static int l_array_of(lua_State *L) {
    unsigned oid = pgtype_array_of((unsigned)luaL_checknumber(L, 1));
    if (oid)
        lua_pushnumber(L, oid);
    else
        lua_pushnil(L);
    return 1;
}

/* (oid) → is it a type whose kind the host knows? */
static int l_type_known(lua_State *L) {
    lua_pushboolean(L, pgtype_known((unsigned)luaL_checknumber(L, 1)));
    return 1;
}

/* ---- results ---- */

struct column {
    const char *name;
    unsigned oid;
    enum pgkind kind;
    bool array;
};

static int too_large(const struct column *col, const char *text, struct err *err) {
    return err_set(err, ERR_INVALID,
                   "column '%s' holds %s, beyond the ±2^53 that a Lua number holds exactly; select "
                   "it as text: %s::text",
                   col->name, text, col->name);
}

static int push_int(lua_State *L, const struct column *col, const char *text, struct err *err) {
    long long v = strtoll(text, NULL, 10);
    if (v > INT_MAX_EXACT || v < -INT_MAX_EXACT)
        return too_large(col, text, err);
    lua_pushnumber(L, (lua_Number)v);
    return 0;
}

static int push_bytea(lua_State *L, const char *text, struct err *err) {
    size_t n;
    char *bytes = pgbytea_decode(text, &n, err);
    if (!bytes)
        return -1;
    lua_pushlstring(L, bytes, n);
    free(bytes);
    return 0;
}

static int push_json(struct vm *vm, lua_State *L, const struct column *col, const char *text,
                     size_t n, struct err *err) {
    struct err why;
    if (json_push_text(vm, L, text, n, &why) == 0)
        return 0;
    return err_set(err, ERR_INVALID, "column '%s': %s; or select it as text: %s::text", col->name,
                   why.msg, col->name);
}

static int push_scalar(struct vm *vm, lua_State *L, const struct column *col, const char *text,
                       size_t n, struct err *err) {
    switch (col->kind) {
    case PGKIND_INT:
        return push_int(L, col, text, err);
    case PGKIND_FLOAT: /* also NaN, Infinity */
        lua_pushnumber(L, strtod(text, NULL));
        return 0;
    case PGKIND_BOOL:
        lua_pushboolean(L, *text == 't');
        return 0;
    case PGKIND_JSON:
        return push_json(vm, L, col, text, n, err);
    case PGKIND_BYTEA:
        return push_bytea(L, text, err);
    case PGKIND_TEXT:
        break;
    }
    lua_pushlstring(L, text, n);
    return 0;
}

struct array_reader { /* the open lists are on the stack, the innermost on top */
    struct vm *vm;
    lua_State *L;
    const struct column *col;
    struct err *err;
    int depth;
};

static int on_open(void *arg) {
    struct array_reader *r = arg;
    lua_createtable(r->L, 4, 0);
    lua_getfield(r->L, LUA_REGISTRYINDEX, "rbf.array_mt");
    lua_setmetatable(r->L, -2);
    r->depth++;
    return 0;
}

static int append(struct array_reader *r) {
    lua_rawseti(r->L, -2, (int)lua_objlen(r->L, -2) + 1);
    return 0;
}

static int on_item(const char *text, size_t len, void *arg) {
    struct array_reader *r = arg;
    if (!text) /* nil would make a hole */
        lua_pushlightuserdata(r->L, NULL);
    else if (push_scalar(r->vm, r->L, r->col, text, len, r->err) != 0)
        return -1;
    return append(r);
}

static int on_close(void *arg) {
    struct array_reader *r = arg;
    return --r->depth ? append(r) : 0;
}

static int push_array(struct vm *vm, lua_State *L, const struct column *col, const char *text,
                      struct err *err) {
    struct array_reader r = {vm, L, col, err, 0};
    const struct pgarray_visitor v = {on_open, on_item, on_close, &r};
    int top = lua_gettop(L);
    luaL_checkstack(L, 16, "too many dimensions"); /* PostgreSQL has 6 at most */
    err_clear(err);
    if (pgarray_walk(text, &v, err) == 0)
        return 0;
    lua_settop(L, top);
    return -1;
}

/* Pushes row as a table; column names are on the stack from names on. NULL columns are absent. */
static int push_row(struct vm *vm, lua_State *L, const struct pgres *res, int row, int n,
                    const struct column *cols, int names, struct err *err) {
    lua_createtable(L, 0, n);
    for (int i = 0; i < n; i++) {
        size_t len;
        const char *text = pgres_value(res, row, i, &len);
        if (!text)
            continue;
        lua_pushvalue(L, names + i);
        int rc = cols[i].array ? push_array(vm, L, &cols[i], text, err)
                               : push_scalar(vm, L, &cols[i], text, len, err);
        if (rc != 0)
            return -1;
        lua_rawset(L, -3);
    }
    return 0;
}

/* Pushes a userdata with the columns' kinds and then all their names. */
static const struct column *push_columns(lua_State *L, const struct pgres *res, int n) {
    luaL_checkstack(L, n + 8, "too many columns");
    struct column *cols = lua_newuserdata(L, (size_t)(n ? n : 1) * sizeof *cols);
    for (int i = 0; i < n; i++) {
        cols[i].name = pgres_col_name(res, i);
        cols[i].oid = pgres_col_oid(res, i);
        cols[i].kind = pgtype_kind(cols[i].oid, &cols[i].array);
        lua_pushstring(L, cols[i].name);
    }
    return cols;
}

/* With the value on the top gives back value, nil and, when some columns are of types that only
 * pg_type knows (their values are text so far), a table of their oids by name. */
static int give_back(lua_State *L, const struct column *cols, int n) {
    int results = 1;
    for (int i = 0; i < n; i++) {
        if (cols[i].oid < OID_FIRST_OF_USERS)
            continue;
        if (results == 1) {
            lua_pushnil(L);
            lua_newtable(L);
            results = 3;
        }
        lua_pushnumber(L, cols[i].oid);
        lua_setfield(L, -2, cols[i].name);
    }
    return results;
}

/* (text, column's name, oid) → what a column of that type would have given | nil, message */
static int l_decode_column(lua_State *L) {
    struct vm *vm = vm_of(L);
    size_t n;
    const char *text = luaL_checklstring(L, 1, &n);
    struct column col = {.name = luaL_checkstring(L, 2), .oid = (unsigned)luaL_checknumber(L, 3)};
    struct err err;
    col.kind = pgtype_kind(col.oid, &col.array);
    int rc =
        col.array ? push_array(vm, L, &col, text, &err) : push_scalar(vm, L, &col, text, n, &err);
    return rc == 0 ? 1 : refuse(L, &err);
}

/* The statement's result; raises when the call under way waits for none (a coroutine that began in
 * another request). */
static const struct pgres *answer(lua_State *L) {
    const struct pgres *res = vm_current(vm_of(L), L)->coro->res;
    if (!res)
        luaL_error(L, "this result belongs to another request");
    return res;
}

/* () → list of rows | nil, message; see give_back */
static int l_rows(lua_State *L) {
    struct vm *vm = vm_of(L);
    const struct pgres *res = answer(L);
    struct err err;
    lua_settop(L, 0);
    int rows = pgres_rows(res), n = rows ? pgres_cols(res) : 0;
    const struct column *cols = push_columns(L, res, n);
    lua_createtable(L, rows, 0);
    lua_getfield(L, LUA_REGISTRYINDEX, "rbf.array_mt");
    lua_setmetatable(L, -2);
    for (int row = 0; row < rows; row++) {
        if (push_row(vm, L, res, row, n, cols, 2, &err) != 0)
            return refuse(L, &err);
        lua_rawseti(L, -2, row + 1);
    }
    return give_back(L, cols, n);
}

/* () → row or nothing | nil, message; see give_back */
static int l_row(lua_State *L) {
    struct vm *vm = vm_of(L);
    const struct pgres *res = answer(L);
    struct err err;
    lua_settop(L, 0);
    int rows = pgres_rows(res), n = pgres_cols(res);
    if (rows == 0)
        return 0;
    if (rows > 1) {
        err_set(&err, ERR_INVALID,
                "db:one found %d rows where one or none was expected; narrow the WHERE, add LIMIT "
                "1, or use db:query",
                rows);
        return refuse(L, &err);
    }
    const struct column *cols = push_columns(L, res, n);
    if (push_row(vm, L, res, 0, n, cols, 2, &err) != 0)
        return refuse(L, &err);
    return give_back(L, cols, n);
}

/* () → rows affected */
static int l_affected(lua_State *L) {
    lua_pushnumber(L, (lua_Number)pgres_affected(answer(L)));
    return 1;
}

const luaL_Reg api_db[] = {
    {"sql", l_sql},           {"sql_list", l_sql_list},
    {"types", l_types},       {"type_known", l_type_known},
    {"array_of", l_array_of}, {"decode_column", l_decode_column},
    {"rows", l_rows},         {"row", l_row},
    {"affected", l_affected}, {NULL, NULL},
};
