/* SPDX-License-Identifier: MIT */
/* Everything goes as text, in the form the parameter's type reads: booleans and numbers have one
 * that all types read, and so do most strings. Bytes for bytea and tables for arrays do not. */
#include "base/utf8.h"
#include "pg/pgarray.h"
#include "pg/pgtypes.h"
#include "vm/vm.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INT_MAX_EXACT 9007199254740992LL /* 2^53 */
#define DIMENSIONS_MAX 6                 /* the server's MAXDIM */

struct param {
    struct vm *vm;
    lua_State *L;
    const char *name;
    enum pgkind kind; /* of an array: of its elements */
    struct err *err;
};

static void put_number(struct buf *b, double d) {
    if (isnan(d))
        buf_puts(b, "NaN");
    else if (isinf(d))
        buf_puts(b, d > 0 ? "Infinity" : "-Infinity");
    else if (d == floor(d) && fabs(d) <= (double)INT_MAX_EXACT)
        buf_printf(b, "%lld", (long long)d);
    else { /* the shortest text that reads back as the same number */
        char text[32];
        for (int digits = 15; digits <= 17; digits++) {
            snprintf(text, sizeof text, "%.*g", digits, d);
            if (strtod(text, NULL) == d)
                break;
        }
        buf_puts(b, text);
    }
}

/* bytea would read it in another way than it is meant, or text not at all? */
static bool is_odd(const char *s, size_t n) {
    return memchr(s, 0, n) || memchr(s, '\\', n) || !utf8_valid(s, n);
}

static int put_string(const struct param *p, int idx, struct buf *out) {
    size_t n;
    const char *s = lua_tolstring(p->L, idx, &n);
    if (p->kind == PGKIND_BYTEA)
        pgbytea_encode(out, s, n);
    else if (memchr(s, 0, n))
        return err_set(p->err, ERR_INVALID,
                       "parameter %s holds a NUL byte, which PostgreSQL's text types cannot hold; "
                       "bytea can",
                       p->name);
    else
        buf_put(out, s, n);
    return 0;
}

/* A value that is neither NULL nor a list. */
static int put_scalar(const struct param *p, int idx, struct buf *out) {
    lua_State *L = p->L;
    switch (lua_type(L, idx)) {
    case LUA_TBOOLEAN: /* bool, JSON and text all read this form */
        buf_puts(out, lua_toboolean(L, idx) ? "true" : "false");
        return 0;
    case LUA_TNUMBER:
        put_number(out, lua_tonumber(L, idx));
        return 0;
    case LUA_TSTRING:
        return put_string(p, idx, out);
    case LUA_TTABLE:
        if (p->kind == PGKIND_BYTEA)
            return err_set(p->err, ERR_INVALID,
                           "parameter %s is a bytea: give it a string of bytes", p->name);
        return json_put(p->vm, L, idx, p->name, out, p->err);
    default:
        return err_set(p->err, ERR_INVALID, "parameter %s: a %s cannot be sent to PostgreSQL",
                       p->name, luaL_typename(L, idx));
    }
}

static bool is_null(lua_State *L, int idx) {
    return lua_isnil(L, idx) || (lua_islightuserdata(L, idx) && !lua_touserdata(L, idx));
}

/* ---- arrays ---- */

/* -1 with err unless the keys are 1..n. */
static int check_list(const struct param *p, int idx, size_t n) {
    lua_State *L = p->L;
    size_t keys = 0;
    for (lua_pushnil(L); lua_next(L, idx); lua_pop(L, 1)) {
        keys++;
        if (lua_type(L, -2) != LUA_TNUMBER) {
            err_set(p->err, ERR_INVALID,
                    "parameter %s is an array: give it a list, found the key '%.60s'", p->name,
                    lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : luaL_typename(L, -2));
            lua_pop(L, 2);
            return -1;
        }
    }
    return keys == n
               ? 0
               : err_set(p->err, ERR_INVALID,
                         "parameter %s is a list with holes; fill them with rbf.null", p->name);
}

static int put_list(const struct param *p, int idx, struct buf *out, int depth);

/* In json[] each element is any value; else a table is one more dimension. */
static int put_element(const struct param *p, int idx, struct buf *out, int depth) {
    struct buf *item = &p->vm->current->coro->item;
    bool json = p->kind == PGKIND_JSON;
    if (is_null(p->L, idx)) {
        buf_puts(out, "NULL");
        return 0;
    }
    if (!json && lua_istable(p->L, idx))
        return put_list(p, idx, out, depth + 1);
    buf_reset(item);
    buf_puts(item, "");
    int rc = json ? json_put(p->vm, p->L, idx, p->name, item, p->err) : put_scalar(p, idx, item);
    if (rc == 0)
        pgarray_quote(out, item->p);
    return rc;
}

static int put_list(const struct param *p, int idx, struct buf *out, int depth) {
    lua_State *L = p->L;
    size_t n = lua_objlen(L, idx);
    if (depth > DIMENSIONS_MAX)
        return err_set(p->err, ERR_INVALID, "parameter %s has more than %d dimensions", p->name,
                       DIMENSIONS_MAX);
    luaL_checkstack(L, 8, "too many dimensions");
    if (check_list(p, idx, n) != 0)
        return -1;
    buf_putc(out, '{');
    for (size_t i = 1; i <= n; i++) {
        if (i > 1)
            buf_putc(out, ',');
        lua_rawgeti(L, idx, (int)i);
        if (put_element(p, lua_gettop(L), out, depth) != 0)
            return -1;
        lua_pop(L, 1);
    }
    buf_putc(out, '}');
    return 0;
}

/* ---- one parameter ---- */

static bool needs_type(lua_State *L, int idx) {
    size_t n;
    if (lua_type(L, idx) != LUA_TSTRING)
        return lua_istable(L, idx);
    const char *s = lua_tolstring(L, idx, &n);
    return is_odd(s, n);
}

int param_put(struct vm *vm, lua_State *L, int idx, int number, unsigned oid, struct buf *out,
              struct err *err) {
    char name[16];
    bool array = false;
    struct param p = {vm, L, name, oid ? pgtype_kind(oid, &array) : PGKIND_TEXT, err};
    snprintf(name, sizeof name, "$%d", number);
    if (is_null(L, idx))
        return PARAM_NULL;
    if (!oid && needs_type(L, idx))
        return PARAM_UNTYPED;
    if (array && lua_istable(L, idx))
        return put_list(&p, idx, out, 1);
    if (array) /* its literal, in PostgreSQL's own form */
        p.kind = PGKIND_TEXT;
    return put_scalar(&p, idx, out);
}
