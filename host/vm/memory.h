/* SPDX-License-Identifier: MIT */
/* memory - how much a generation's Lua state may hold. LuaJIT has no emergency collection, so at
 * 60 % everything is collected between two steps of a handler; a state that stays above, or that
 * was refused memory, is spent: it still works, but the host had better make a new one (a state
 * that ran out of memory once is not trusted for long). The limit holds while Lua runs under
 * protection, never in between, where an error would end the process. */
#ifndef RBF_MEMORY_H
#define RBF_MEMORY_H
#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

struct memory {
    size_t used, limit; /* bytes; limit 0: none */
    bool limited;       /* right now */
    bool refused;       /* once was enough */
    lua_Alloc inner;    /* LuaJIT's own allocator */
    void *inner_ud;
};

/* Puts the account between L and its allocator. m lives as long as L. */
void memory_open(struct memory *m, lua_State *L, size_t limit);
/* Before lua_close. */
void memory_close(struct memory *m, lua_State *L);
/* Around protected Lua; both may run the collector. enter: what a call has left behind that ran out
 * of memory, and is over now, is not the next one's fault. leave: true when the state is spent. */
void memory_enter(struct memory *m, lua_State *L);
bool memory_leave(struct memory *m, lua_State *L);
#endif
