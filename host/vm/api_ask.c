/* SPDX-License-Identifier: MIT */
/* api_ask - the one way in which lua/rbf waits for something that is not SQL: a name and plain
 * values go out by a yield, plain values come back. What can be asked is core's business
 * (core/ask.h). */
#include "vm/vm.h"
#include <string.h>

/* Copies arguments 2… into the coroutine's buffers; their text moves while they are added. */
static int put_args(struct coro *co, lua_State *L) {
    int n = lua_gettop(L) - 1;
    size_t starts[CALL_MAX_ARGS];
    luaL_argcheck(L, n <= CALL_MAX_ARGS, 2, "too many values in one question");
    for (int i = 0; i < n; i++) {
        struct call_value *v = &co->args[i];
        int idx = i + 2;
        starts[i] = co->text.len;
        if (lua_isnoneornil(L, idx)) {
            v->type = VALUE_NIL;
        } else if (lua_type(L, idx) == LUA_TBOOLEAN) {
            *v = (struct call_value){.type = VALUE_BOOL, .flag = lua_toboolean(L, idx)};
        } else if (lua_type(L, idx) == LUA_TNUMBER) {
            *v = (struct call_value){.type = VALUE_NUMBER, .number = lua_tonumber(L, idx)};
        } else {
            v->type = VALUE_TEXT;
            const char *p = luaL_checklstring(L, idx, &v->text.len);
            buf_put(&co->text, p, v->text.len);
            buf_putc(&co->text, 0);
        }
    }
    for (int i = 0; i < n; i++)
        if (co->args[i].type == VALUE_TEXT)
            co->args[i].text.p = co->text.p + starts[i];
    return n;
}

/* (question, …) → what was answered: true, … | false, message; or nil: nobody can wait here */
static int l_ask(lua_State *L) {
    struct call *c = vm_of(L)->current;
    size_t len;
    if (!c || !lua_isyieldable(L)) {
        lua_pushnil(L);
        return 1;
    }
    struct coro *co = c->coro;
    const char *question = luaL_checklstring(L, 1, &len);
    buf_reset(&co->text);
    buf_put(&co->text, question, len + 1);
    c->n_args = put_args(co, L);
    c->args = co->args;
    c->question = co->text.p;
    return coro_yield(L, ASK_QUESTION);
}

const luaL_Reg api_ask[] = {
    {"ask", l_ask},
    {NULL, NULL},
};
