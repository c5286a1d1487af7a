/* SPDX-License-Identifier: MIT */
#include "core/reload.h"
#include "base/buf.h"
#include "base/failpoint.h"
#include <stdlib.h>

struct build {
    uv_work_t work;
    struct reload *r; /* NULL once the worker is gone */
    uint32_t number;
    char *packed;
    size_t n;
    char *lua_dir;
    struct gen *gen;
    struct err err;
};

struct reload {
    uv_loop_t *loop;
    char *lua_dir;
    reload_cb cb;
    void *arg;
    struct gen *kept;
    struct buf packed, live; /* trees: of kept, and of the generation that was taken last */
    uint32_t live_number;
    struct build *building;
};

struct reload *reload_new(uv_loop_t *loop, const char *lua_dir, reload_cb cb, void *arg) {
    struct reload *r = xcalloc(1, sizeof *r);
    r->loop = loop;
    r->lua_dir = xstrdup(lua_dir);
    r->cb = cb;
    r->arg = arg;
    return r;
}

/* A generation that no task runs on any more: its state is closed off the request path, too. */
struct burial {
    uv_work_t work;
    struct gen *gen;
};

static void dig(uv_work_t *work) { /* on a thread of the pool */
    struct burial *b = work->data;
    gen_delete(b->gen);
}

static void on_dug(uv_work_t *work, int status) {
    free(work->data);
}

static void bury(struct gen *g, void *arg) {
    struct reload *r = arg;
    struct burial *b = xcalloc(1, sizeof *b);
    b->gen = g;
    b->work.data = b;
    uv_queue_work(r->loop, &b->work, dig, on_dug);
}

static void build(uv_work_t *work) { /* on a thread of the pool */
    struct build *b = work->data;
    struct tree *tree = tree_unpack(b->packed, b->n, &b->err);
    if (tree)
        b->gen = gen_load(tree, b->lua_dir, b->number, &b->err);
    tree_delete(tree);
}

static void on_built(uv_work_t *work, int status) {
    (void)FAILPOINT("reload.built");
    struct build *b = work->data;
    struct reload *r = b->r;
    if (r) {
        r->building = NULL;
        reload_drop(r);
        r->kept = b->gen;
        if (r->kept)
            gen_bury(r->kept, bury, r);
        buf_reset(&r->packed);
        buf_put(&r->packed, b->packed, b->n);
        r->cb(b->number, b->gen, b->gen ? NULL : &b->err, r->arg);
    } else if (b->gen) {
        gen_unref(b->gen);
    }
    free(b->packed);
    free(b->lua_dir);
    free(b);
}

void reload_prepare(struct reload *r, uint32_t number, const void *packed, size_t n) {
    struct build *b = xcalloc(1, sizeof *b);
    if (r->building) /* superseded: its answer is no longer wanted */
        r->building->r = NULL;
    r->building = b;
    b->r = r;
    b->number = number;
    b->packed = xmemdup(packed, n);
    b->n = n;
    b->lua_dir = xstrdup(r->lua_dir);
    b->work.data = b;
    uv_queue_work(r->loop, &b->work, build, on_built);
}

struct gen *reload_take(struct reload *r, uint32_t number) {
    struct gen *g = r->kept;
    if (!g || g->number != number)
        return NULL;
    r->kept = NULL;
    struct buf old = r->live;
    r->live = r->packed;
    r->packed = old;
    r->live_number = number;
    return g;
}

bool reload_renew(struct reload *r) {
    if (r->building || r->kept) /* that one is about to go live */
        return false;
    reload_prepare(r, r->live_number, r->live.p, r->live.len);
    return true;
}

void reload_drop(struct reload *r) {
    if (r->kept)
        gen_unref(r->kept);
    r->kept = NULL;
}

void reload_delete(struct reload *r) {
    if (!r)
        return;
    if (r->kept)
        gen_bury(r->kept, NULL, NULL);
    reload_drop(r);
    if (r->building)
        r->building->r = NULL;
    buf_free(&r->packed);
    buf_free(&r->live);
    free(r->lua_dir);
    free(r);
}
