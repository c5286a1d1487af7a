/* SPDX-License-Identifier: MIT */
#include "vm/memory.h"

#define COLLECT_SHARE .6
#define FULL_SHARE .85 /* a spent state is still asked to work, until there is a new one */

static void *count(void *ud, void *p, size_t before, size_t n) {
    struct memory *m = ud;
    if (m->limited && m->limit && n > before && m->used + (n - before) > m->limit) {
        m->refused = true;
        return NULL;
    }
    void *q = m->inner(m->inner_ud, p, before, n);
    if (q || !n)
        m->used += n - before;
    return q;
}

void memory_open(struct memory *m, lua_State *L, size_t limit) {
    *m = (struct memory){.limit = limit, .used = (size_t)lua_gc(L, LUA_GCCOUNT, 0) * 1024};
    m->inner = lua_getallocf(L, &m->inner_ud);
    lua_setallocf(L, count, m);
}

/* lua_close frees its arena only when it finds its own allocator. */
void memory_close(struct memory *m, lua_State *L) {
    lua_setallocf(L, m->inner, m->inner_ud);
}

void memory_enter(struct memory *m, lua_State *L) {
    if (m->limit && (double)m->used >= (double)m->limit * FULL_SHARE)
        lua_gc(L, LUA_GCCOLLECT, 0);
    m->limited = true;
}

bool memory_leave(struct memory *m, lua_State *L) {
    size_t high = (size_t)((double)m->limit * COLLECT_SHARE);
    m->limited = false;
    if (!m->limit || (!m->refused && m->used < high))
        return false;
    lua_gc(L, LUA_GCCOLLECT, 0);
    return m->refused || m->used >= high;
}
