/* SPDX-License-Identifier: MIT */
/* api_log - a line in the host's log; inside a call with its request id and operation. */
#include "base/log.h"
#include "vm/vm.h"
#include <stdlib.h>
#include <string.h>

#define FIELDS_MAX 32 /* of the user's in one line; more are left out */

static int by_key(const void *a, const void *b) {
    const struct log_field *x = a, *y = b;
    return strcmp(x->key, y->key);
}

/* Tables as JSON; their texts are strings of Lua, kept on the stack until the line is written. */
static struct log_field table_field(struct vm *vm, lua_State *L, const char *key) {
    struct err err;
    buf_reset(&vm->buf);
    if (json_put(vm, L, lua_gettop(L), key, &vm->buf, &err) != 0) {
        lua_pushfstring(L, "(%s)", err.msg);
        return LOG_S(key, lua_tostring(L, -1));
    }
    lua_pushlstring(L, vm->buf.p, vm->buf.len);
    return LOG_J(key, lua_tostring(L, -1));
}

static struct log_field field(struct vm *vm, lua_State *L, const char *key) {
    switch (lua_type(L, -1)) {
    case LUA_TBOOLEAN:
        return LOG_B(key, lua_toboolean(L, -1));
    case LUA_TNUMBER: {
        double d = lua_tonumber(L, -1);
        return d > -1e15 && d < 1e15 && d == (double)(int64_t)d ? LOG_I(key, d) : LOG_F(key, d);
    }
    case LUA_TSTRING:
        return LOG_S(key, lua_tostring(L, -1));
    case LUA_TTABLE:
        return table_field(vm, L, key);
    case LUA_TLIGHTUSERDATA:
        if (!lua_touserdata(L, -1))
            return LOG_J(key, "null");
        /* fall through */
    default:
        lua_pushfstring(L, "(%s)", luaL_typename(L, -1));
        return LOG_S(key, lua_tostring(L, -1));
    }
}

/* Reads the table at idx into out; leaves texts on the stack. */
static int fields(struct vm *vm, lua_State *L, int idx, struct log_field *out) {
    int n = 0;
    luaL_checkstack(L, 4 * FIELDS_MAX + 8, "too many log fields");
    for (lua_pushnil(L); lua_next(L, idx) && n < FIELDS_MAX;) {
        if (lua_type(L, -2) != LUA_TSTRING) {
            lua_pop(L, 1);
            continue;
        }
        int key = lua_gettop(L) - 1;
        out[n] = field(vm, L, lua_tostring(L, key));
        out[n++].foreign = true;
        lua_pushvalue(L, key); /* on top again for lua_next; the texts stay below */
    }
    qsort(out, (size_t)n, sizeof *out, by_key);
    return n;
}

/* (level 0..3, message, fields or nil) */
static int l_log(lua_State *L) {
    struct vm *vm = vm_of(L);
    struct log_field out[FIELDS_MAX + 3];
    enum log_level level = (enum log_level)luaL_checkint(L, 1);
    const char *msg = luaL_checkstring(L, 2);
    if (!log_enabled(level))
        return 0;
    lua_settop(L, 3);
    int n = lua_istable(L, 3) ? fields(vm, L, 3, out) : 0;
    if (vm->current && vm->current->coro->req->op >= 0) {
        const struct call_request *req = vm->current->coro->req;
        const struct gen_op *op = &vm->gen->ops[req->op];
        lua_pushfstring(L, "%s.%s", op->queue_name, op->path);
        out[n++] = LOG_S("operation", lua_tostring(L, -1));
        out[n++] = LOG_S("request_id", req->request_id);
    }
    out[n].key = NULL;
    log_write(level, msg, out);
    return 0;
}

const luaL_Reg api_log[] = {
    {"log", l_log},
    {NULL, NULL},
};
