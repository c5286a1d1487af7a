/* SPDX-License-Identifier: MIT */
#include "core/cache.h"
#include "base/clock.h"
#include "base/jsonval.h"
#include "bus/bus_sub.h"
#include "cache/lru.h"
#include "core/cache_row.h"
#include "core/sweeper.h"
#include <stdlib.h>
#include <string.h>

#define EPOCHS_MAX 20000 /* some 2 MB, while a query is under way for long */
#define ECHO_MS 5000

struct cache {
    struct host *h;
    char *subject;
    struct redis *redis; /* NULL: in this process */
    struct lru *lru;
    struct epochs epochs;
    bool listening; /* invalidations arrive: the server has our subscription */
};

/* --- in this process --- */

static void empty(struct cache *c) {
    lru_clear(c->lru);
    epochs_invalidate_all(&c->epochs);
}

static void start_listening(struct cache *c);

/* What was kept since the connection came back may be outdated: the server had no subscription of
 * ours then. */
static void on_echo(const struct bus_msg *msg, const struct err *err, void *arg) {
    struct cache *c = arg;
    if (!err) {
        empty(c);
        c->listening = true;
    } else if (err->kind == ERR_TIMEOUT) {
        start_listening(c);
    }
}

static void start_listening(struct cache *c) {
    struct err err; /* not sent: the connection has just broken, and will be back */
    (void)bus_echo(c->h->bus, ECHO_MS, on_echo, c, &err);
}

void cache_bus_changed(struct cache *c, bool up) {
    if (!c || c->redis)
        return;
    c->listening = false;
    empty(c);
    if (up)
        start_listening(c);
}

void cache_reloaded(struct cache *c) {
    if (c && !c->redis)
        empty(c);
}

static void on_told(struct bus_msg *m, void *arg) {
    cache_row_receive(arg, m);
    bus_msg_delete(m);
}

void cache_forget(struct cache *c, const struct cache_keys *keys) {
    if (c->redis)
        return;
    if (keys->all)
        empty(c);
    for (size_t i = 0; i < keys->n; i++) {
        lru_drop(c->lru, keys->v[i]);
        epochs_invalidate(&c->epochs, keys->v[i]);
    }
}

/* --- queries --- */

void cache_begin(struct cache *c, struct cache_reader *r, const char *version) {
    r->reading = c;
    if (!c)
        return;
    r->version = version;
    if (c->redis)
        r->began = *redis_now(c->redis);
    else
        epochs_begin(&c->epochs, &r->local);
}

void cache_end(struct cache *c, struct cache_reader *r) {
    if (r->reading && !c->redis)
        epochs_end(&c->epochs, &r->local);
    r->reading = false;
}

struct cache_get { /* in Redis, under way */
    struct cache *c;
    struct cache_reader *r;
    struct redis_get *asked;
    bool first;
    cache_cb cb;
    void *arg;
};

static void count(struct cache *c, bool hit) {
    c->h->stats.cache_hits += hit;
    c->h->stats.cache_misses += !hit;
}

/* "<code version> <text>": that of another version is not there. */
static const char *of_version(const struct cache_reader *r, const char *text, size_t *len) {
    size_t n = strlen(r->version) + 1;
    if (!text || *len < n || strncmp(text, r->version, n - 1) != 0 || text[n - 1] != ' ')
        return NULL;
    *len -= n;
    return text + n;
}

/* What Redis counts now is what a query knows before it reads, if it has read nothing yet. */
static void on_got(const char *text, size_t len, const struct redis_stamp *now, void *arg) {
    struct cache_get *g = arg;
    if (g->first && now)
        g->r->began = *now;
    text = of_version(g->r, text, &len);
    count(g->c, text);
    cache_cb cb = g->cb;
    void *to = g->arg;
    free(g);
    cb(text, text ? len : 0, to);
}

static void get_local(struct cache *c, struct cache_reader *r, const char *key, cache_cb cb,
                      void *arg) {
    size_t len = 0;
    const char *text = NULL;
    if (c->listening && !epochs_outdated(&c->epochs, &r->local))
        text = lru_get(c->lru, key, clock_mono_ms(), &len);
    count(c, text);
    cb(text, len, arg);
}

struct cache_get *cache_get(struct cache *c, struct cache_reader *r, bool first, const char *key,
                            cache_cb cb, void *arg) {
    if (!c->redis) {
        get_local(c, r, key, cb, arg);
        return NULL;
    }
    struct cache_get *g = xcalloc(1, sizeof *g);
    *g = (struct cache_get){.c = c, .r = r, .first = first, .cb = cb, .arg = arg};
    g->asked = redis_get(c->redis, key, on_got, g);
    if (g->asked)
        return g;
    free(g);
    count(c, false);
    cb(NULL, 0, arg);
    return NULL;
}

void cache_get_cancel(struct cache_get *g) {
    if (!g)
        return;
    redis_get_cancel(g->asked);
    free(g);
}

static void set_in_redis(struct cache *c, const struct cache_reader *r, const char *key,
                         const char *text, size_t len, uint64_t ttl_ms) {
    struct buf value = {0};
    buf_printf(&value, "%s ", r->version);
    buf_put(&value, text, len);
    redis_set(c->redis, key, value.p, value.len, ttl_ms, &r->began);
    buf_free(&value);
}

void cache_set(struct cache *c, const struct cache_reader *r, const char *key, const char *text,
               size_t len, uint64_t ttl_ms) {
    if (len > CACHE_VALUE_MAX)
        return;
    if (c->redis)
        set_in_redis(c, r, key, text, len, ttl_ms);
    else if (c->listening && epochs_fresh(&c->epochs, &r->local, key))
        lru_set(c->lru, key, text, len, clock_mono_ms() + ttl_ms);
}

void cache_invalidate(struct cache *c, const char *key) {
    struct hdrs hd = {0};
    struct buf data = {0};
    struct err err;
    buf_puts(&data, "{\"keys\":[");
    if (jsonval_put_string(&data, key, strlen(key), NULL) == 0) {
        buf_puts(&data, "]}");
        (void)cache_row_send(c->h, &hd, data.p, data.len, ECHO_MS, NULL, NULL, &err);
    }
    buf_free(&data);
    hdrs_free(&hd);
}

/* --- life --- */

/* What was left undone while Redis was away is due now. */
static void on_redis_up(void *arg) {
    struct cache *c = arg;
    if (c->h->sweeper)
        sweeper_arm(c->h->sweeper, clock_db_ms());
}

static int open_redis(struct cache *c, struct err *err) {
    const struct config *cfg = c->h->cfg;
    char *prefix = xasprintf("%s%s", cfg->subject_prefix, cfg->namespace_);
    c->redis = redis_new(c->h->loop, cfg->redis_url, prefix, on_redis_up, c, err);
    free(prefix);
    return c->redis ? 0 : -1;
}

/* A group of one is a plain subscription: each worker gets each message. */
static int subscribe(struct cache *c, struct err *err) {
    struct bus *b = c->h->bus;
    if (!bus_sub_new(b, c->subject, bus_inbox(b), on_told, c->h, err))
        return -1;
    start_listening(c);
    return 0;
}

struct cache *cache_new(struct host *h, struct err *err) {
    struct cache *c = xcalloc(1, sizeof *c);
    c->h = h;
    c->subject = xasprintf("%s_RBF.cache.%s", h->cfg->subject_prefix, h->cfg->namespace_);
    c->lru = lru_new((size_t)h->cfg->cache_bytes);
    epochs_init(&c->epochs, EPOCHS_MAX);
    if ((h->cfg->redis_url ? open_redis(c, err) : subscribe(c, err)) == 0)
        return c;
    cache_delete(c);
    return NULL;
}

const char *cache_subject(const struct cache *c) {
    return c->subject;
}

struct redis *cache_redis(const struct cache *c) {
    return c->redis;
}

void cache_delete(struct cache *c) {
    if (!c)
        return;
    redis_delete(c->redis);
    epochs_free(&c->epochs);
    lru_delete(c->lru);
    free(c->subject);
    free(c);
}
