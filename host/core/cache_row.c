/* SPDX-License-Identifier: MIT */
#include "core/cache_row.h"
#include "base/id.h"
#include "base/jsonval.h"
#include "core/outbox.h"
#include "vm/call.h"
#include <stdlib.h>
#include <string.h>

#define ROW_BYTES ((size_t)256 * 1024)
/* Who told it: one who has told itself needs no telling. Taken out of no row: it is set when the
 * row is published. */
#define H_FROM "RBF-Cache-From"

/* --- from effects to rows --- */

static void add_row(struct host *h, struct list *effects, struct buf *data) {
    struct effect *e = xcalloc(1, sizeof *e);
    buf_puts(data, "]}");
    e->type = EFFECT_MESSAGE;
    e->subject = xstrdup(cache_subject(h->cache));
    e->data = buf_steal(data);
    id_v7(e->id);
    list_push(effects, &e->node);
}

/* The keys, each once, in their order. The effects are gone then. */
static json_t *take_keys(struct list *effects) {
    json_t *keys = NULL;
    list_each_safe(effects, it) {
        struct effect *e = container_of(it, struct effect, node);
        if (e->type != EFFECT_CACHE)
            continue;
        if (!keys)
            keys = json_object();
        json_object_set_new(keys, e->subject, json_true());
        effect_delete(e);
    }
    return keys;
}

void cache_row_fold(struct host *h, struct list *effects) {
    json_t *keys = take_keys(effects), *unused;
    const char *key;
    struct buf data = {0};
    size_t most = bus_max_payload(h->bus) / 2;
    json_object_foreach(keys, key, unused) {
        if (data.len > (most < ROW_BYTES ? most : ROW_BYTES))
            add_row(h, effects, &data);
        buf_puts(&data, data.len ? "," : "{\"keys\":[");
        (void)!jsonval_put_string(&data, key, strlen(key), NULL); /* checked when it was given */
    }
    if (data.len)
        add_row(h, effects, &data);
    json_decref(keys);
}

bool cache_row_is(const struct host *h, const char *path) {
    return h->cache && !strcmp(path, cache_subject(h->cache));
}

bool cache_row_among(const struct host *h, const struct list *effects) {
    const struct effect *last = container_of(effects->prev, struct effect, node);
    return !list_empty(effects) && last->type == EFFECT_MESSAGE && cache_row_is(h, last->subject);
}

const char *cache_row_blocked(const struct host *h) {
    struct redis *r = h->cache ? cache_redis(h->cache) : NULL;
    return r && !redis_up(r) ? cache_subject(h->cache) : NULL;
}

/* --- from a row to keys --- */

/* The keys borrow from the JSON. What cannot be read says that something is outdated, but not what.
 */
static json_t *read_keys(const char *data, size_t len, struct cache_keys *keys) {
    json_t *row = jsonval_read(data, len, NULL), *list = json_object_get(row, "keys"), *key;
    size_t i, n = json_array_size(list);
    keys->all = !json_is_array(list);
    keys->n = 0;
    keys->v = xcalloc(n + 1, sizeof *keys->v);
    json_array_foreach(list, i, key) {
        if (json_is_string(key))
            keys->v[keys->n++] = json_string_value(key);
        else
            keys->all = true;
    }
    return row;
}

void cache_row_receive(struct host *h, const struct bus_msg *m) {
    struct cache_keys keys;
    const char *from = hdrs_get(&m->hdrs, H_FROM);
    if (from && !strcmp(from, bus_inbox(h->bus)))
        return;
    json_t *row = read_keys(m->data, m->len, &keys);
    cache_forget(h->cache, &keys);
    free(keys.v);
    json_decref(row);
}

/* --- telling --- */

struct told { /* by the server and by Redis, in whatever order */
    int left;
    struct err err;
    bus_puback_cb cb; /* NULL: nobody waits */
    void *arg;
};

static void told_part(struct told *t, const struct err *err) {
    if (err)
        t->err = *err;
    if (--t->left > 0)
        return;
    if (t->cb)
        t->cb(t->err.kind ? &t->err : NULL, false, t->arg);
    free(t);
}

static void on_published(const struct err *err, bool duplicate, void *arg) {
    told_part(arg, err);
}

static void on_redis(const struct err *err, void *arg) {
    told_part(arg, err);
}

int cache_row_send(struct host *h, struct hdrs *hd, const char *data, size_t len, int timeout_ms,
                   bus_puback_cb cb, void *arg, struct err *err) {
    struct redis *redis = cache_redis(h->cache);
    struct cache_keys keys;
    struct told *t = xcalloc(1, sizeof *t);
    json_t *row = read_keys(data, len, &keys);
    t->left = redis ? 2 : 1;
    t->cb = cb;
    t->arg = arg;
    cache_forget(h->cache, &keys);
    if (redis)
        redis_invalidate(redis, keys.v, keys.n, keys.all, timeout_ms, on_redis, t);
    free(keys.v);
    json_decref(row);
    hdrs_set(hd, H_FROM, bus_inbox(h->bus));
    if (outbox_send_plain(h->bus, cache_subject(h->cache), hd, data, len, timeout_ms, on_published,
                          t, err) == 0)
        return 0;
    t->cb = NULL;
    told_part(t, NULL);
    return -1;
}
