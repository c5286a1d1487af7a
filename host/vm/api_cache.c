/* SPDX-License-Identifier: MIT */
/* api_cache - the C side of r.cache that needs no waiting: keys, what a mutation invalidates, and
 * answers that come from the cache as the JSON they were kept as. */
#include "base/jsonval.h"
#include "vm/vm.h"
#include <string.h>

#define KEY_MAX 1024

static int refuse(lua_State *L, const char *message) {
    lua_pushnil(L);
    lua_pushstring(L, message);
    return 2;
}

/* (key) → true | nil, message */
static int l_cache_key(lua_State *L) {
    size_t n;
    if (lua_type(L, 1) != LUA_TSTRING)
        return refuse(L, "a key must be a string");
    const char *key = lua_tolstring(L, 1, &n);
    if (n == 0 || n > KEY_MAX)
        return refuse(L, n ? "a key may have 1024 bytes at most: hash what is longer"
                           : "a key may not be empty");
    if (!jsonval_is_utf8(key, n))
        return refuse(L, "a key must be UTF-8 without NUL");
    lua_pushboolean(L, true);
    return 1;
}

/* (key, checked) → true | nil, message: it is invalidated with the commit */
static int l_cache_drop(lua_State *L) {
    struct call *c = vm_current(vm_of(L), L);
    const char *key = luaL_checkstring(L, 1);
    if (c->coro->req->failed || c->gen->ops[c->coro->req->op].type == OP_QUERY)
        return refuse(L, "this cache belongs to a mutation's handler; use r.cache of this request");
    effect_new(c, key)->type = EFFECT_CACHE;
    lua_pushboolean(L, true);
    return 1;
}

/* (JSON text): the call's answer, in place of host.finish */
static int l_answer(lua_State *L) {
    size_t n;
    const char *text = luaL_checklstring(L, 1, &n);
    struct buf *out = &vm_current(vm_of(L), L)->coro->result;
    buf_reset(out);
    buf_put(out, text, n);
    return 0;
}

/* () → what host.finish has made of the result */
static int l_answered(lua_State *L) {
    const struct buf *out = &vm_current(vm_of(L), L)->coro->result;
    lua_pushlstring(L, out->p ? out->p : "", out->len);
    return 1;
}

const luaL_Reg api_cache[] = {
    {"cache_key", l_cache_key},
    {"cache_drop", l_cache_drop},
    {"answer", l_answer},
    {"answered", l_answered},
    {NULL, NULL},
};
