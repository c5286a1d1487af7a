/* SPDX-License-Identifier: MIT */
#include "vm/gentypes.h"
#include "vm/vm.h"
#include <string.h>

struct job {
    struct vm *vm;
    const char *columns;
    struct buf *out;
    int tables;
};

/* Protected. */
static int write(lua_State *L) {
    struct job *j = lua_touserdata(L, 1);
    struct err err;
    size_t n;
    lua_getglobal(L, "require");
    lua_pushliteral(L, "rbf.types");
    lua_call(L, 1, 1);
    lua_getfield(L, -1, "write");
    if (!j->columns)
        lua_pushnil(L);
    else if (json_push_text(j->vm, L, j->columns, strlen(j->columns), &err) != 0)
        return luaL_error(L, "the database's columns: %s", err.msg);
    lua_call(L, 1, 3);
    const char *text = lua_tolstring(L, -3, &n);
    buf_put(j->out, text, n);
    j->tables = (int)lua_tointeger(L, -1);
    return 0;
}

int gentypes_write(struct gen *g, const char *columns, struct buf *out, int *tables,
                   struct err *err) {
    lua_State *L = g->vm->L;
    struct job j = {g->vm, columns, out, 0};
    struct buf why = {0};
    int rc = 0;
    if (lua_cpcall(L, write, &j) != 0) {
        if (!lua_isstring(L, -1) && !luaL_callmeta(L, -1, "__tostring"))
            lua_pushliteral(L, "the types could not be written");
        trace_pretty(g->vm, lua_tostring(L, -1), &why);
        rc = err_set(err, ERR_LUA, "%s", why.p ? why.p : "");
        lua_settop(L, 0);
        buf_free(&why);
    }
    *tables = j.tables;
    return rc;
}
