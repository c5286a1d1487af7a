/* SPDX-License-Identifier: MIT */
#include "bus/waits.h"
#include "base/clock.h"
#include "base/jsonval.h"
#include <string.h>
#include <uthash.h>

#define GRACE_MS 10

struct wait {
    uint64_t id, deadline_ms;
    size_t at; /* its place in the heap */
    int timeout_ms;
    bool survives_down;
    bus_cb reply;
    bus_puback_cb puback;
    void *arg;
    UT_hash_handle hh;
    char subject[]; /* "" when none */
};

/* The heap: the earliest deadline on top. */

static void heap_put(struct waits *w, size_t at, struct wait *it) {
    w->heap[at] = it;
    it->at = at;
}

static void heap_up(struct waits *w, size_t at, struct wait *it) {
    for (; at > 0; at = (at - 1) / 2) {
        struct wait *parent = w->heap[(at - 1) / 2];
        if (parent->deadline_ms <= it->deadline_ms)
            break;
        heap_put(w, at, parent);
    }
    heap_put(w, at, it);
}

static void heap_down(struct waits *w, size_t at, struct wait *it) {
    for (size_t child; (child = 2 * at + 1) < w->n; at = child) {
        if (child + 1 < w->n && w->heap[child + 1]->deadline_ms < w->heap[child]->deadline_ms)
            child++;
        if (it->deadline_ms <= w->heap[child]->deadline_ms)
            break;
        heap_put(w, at, w->heap[child]);
    }
    heap_put(w, at, it);
}

static void heap_remove(struct waits *w, struct wait *it) {
    struct wait *last = w->heap[--w->n];
    if (last == it)
        return;
    heap_down(w, it->at, last);
    heap_up(w, last->at, last);
}

/* The table */

static void unlink_wait(struct waits *w, struct wait *it) {
    HASH_DEL(w->by_id, it);
    heap_remove(w, it);
}

static struct wait *find(struct waits *w, uint64_t id) {
    struct wait *it;
    HASH_FIND(hh, w->by_id, &id, sizeof id, it);
    return it;
}

static void fire_err(struct wait *it, const struct err *err) {
    if (it->puback)
        it->puback(err, false, it->arg);
    else
        it->reply(NULL, err, it->arg);
    free(it);
}

static void fire_msg(struct wait *it, const struct bus_msg *m) {
    if (it->puback) {
        struct err err;
        bool duplicate = false;
        bool stored = puback_parse(m->data, m->len, &duplicate, &err) == 0;
        it->puback(stored ? NULL : &err, duplicate, it->arg);
    } else
        it->reply(m, NULL, it->arg);
    free(it);
}

static void expire(struct wait *it) {
    struct err err;
    if (it->puback)
        err_set(&err, ERR_TIMEOUT,
                "no stream took '%s' within %d ms: is there a stream for this subject?",
                it->subject, it->timeout_ms);
    else if (it->subject[0])
        err_set(&err, ERR_TIMEOUT, "no reply from '%s' within %d ms", it->subject, it->timeout_ms);
    else
        err_set(&err, ERR_TIMEOUT, "no reply within %d ms", it->timeout_ms);
    fire_err(it, &err);
}

static void on_timer(uv_timer_t *t);

static void arm(struct waits *w) {
    uint64_t now = clock_mono_ms(), due = w->heap[0]->deadline_ms;
    uv_update_time(w->timer.loop);
    uv_timer_start(&w->timer, on_timer, due > now ? due - now : 1, 0);
}

/* An answered wait leaves the timer as it is: it finds nothing due and arms itself again. Timers
 * come before what can be read: if it was this process that had no time, the answer is there and
 * only has to be taken. So what is due is looked at twice. */
static void on_timer(uv_timer_t *t) {
    struct waits *w = t->data;
    uint64_t now = clock_mono_ms();
    bool due = w->n > 0 && w->heap[0]->deadline_ms <= now;
    if (due && !w->looked_ms) {
        w->looked_ms = now;
        uv_timer_start(t, on_timer, GRACE_MS, 0);
        return;
    }
    uint64_t until = w->looked_ms;
    w->looked_ms = 0;
    while (w->n > 0 && w->heap[0]->deadline_ms <= until) {
        struct wait *it = w->heap[0];
        unlink_wait(w, it);
        expire(it);
    }
    if (w->n > 0 && !uv_is_closing((uv_handle_t *)t))
        arm(w);
}

void waits_init(struct waits *w, uv_loop_t *loop) {
    memset(w, 0, sizeof *w);
    uv_timer_init(loop, &w->timer);
    w->timer.data = w;
}

uint64_t waits_add(struct waits *w, const struct wait_spec *spec) {
    const char *subject = spec->subject ? spec->subject : "";
    struct wait *it = xcalloc(1, sizeof *it + strlen(subject) + 1);
    strcpy(it->subject, subject);
    it->id = ++w->last_id;
    it->timeout_ms = spec->timeout_ms;
    it->deadline_ms = clock_mono_ms() + (uint64_t)(spec->timeout_ms > 0 ? spec->timeout_ms : 0);
    it->survives_down = spec->survives_down;
    it->reply = spec->reply;
    it->puback = spec->puback;
    it->arg = spec->arg;
    if (w->n == w->cap) {
        w->cap = w->cap ? w->cap * 2 : 64;
        w->heap = xrealloc(w->heap, w->cap * sizeof *w->heap);
    }
    heap_up(w, w->n++, it);
    HASH_ADD(hh, w->by_id, id, sizeof it->id, it);
    if (it->at == 0)
        arm(w);
    return it->id;
}

void waits_forget(struct waits *w, uint64_t id) {
    struct wait *it = find(w, id);
    if (!it)
        return;
    unlink_wait(w, it);
    free(it);
}

bool waits_answer(struct waits *w, uint64_t id, const struct bus_msg *m) {
    struct wait *it = find(w, id);
    if (!it)
        return false;
    unlink_wait(w, it);
    fire_msg(it, m);
    return true;
}

void waits_nobody(struct waits *w, uint64_t id) {
    struct err err;
    struct wait *it = find(w, id);
    if (!it)
        return;
    err_set(&err, ERR_NOBODY, it->puback ? "no stream takes '%s'" : "nobody serves '%s'",
            it->subject);
    unlink_wait(w, it);
    fire_err(it, &err);
}

/* By number, as each callback may add and forget others. */
static void fail_all(struct waits *w, bool also_survivors, const struct err *err) {
    size_t n = 0;
    uint64_t *ids = xmalloc((w->n + 1) * sizeof *ids);
    for (struct wait *it = w->by_id; it; it = it->hh.next)
        if (also_survivors || !it->survives_down)
            ids[n++] = it->id;
    for (size_t i = 0; i < n; i++) {
        struct wait *it = find(w, ids[i]);
        if (!it)
            continue;
        unlink_wait(w, it);
        fire_err(it, err);
    }
    free(ids);
}

void waits_fail_down(struct waits *w) {
    struct err err;
    err_set(&err, ERR_BUS_DOWN, "the connection to NATS broke before the reply came");
    fail_all(w, false, &err);
}

void waits_shutdown(struct waits *w) {
    struct err err;
    err_set(&err, ERR_SHUTDOWN, "the connection to NATS is being closed");
    while (w->n > 0) /* a callback may have begun another wait */
        fail_all(w, true, &err);
    free(w->heap);
    w->heap = NULL;
    w->cap = 0;
}

static const char *text_of(const json_t *o, const char *key, const char *otherwise) {
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : otherwise;
}

int puback_parse(const char *text, size_t n, bool *duplicate, struct err *err) {
    json_t *v = jsonval_read(text, n, NULL);
    const json_t *error = json_object_get(v, "error");
    int rc = 0;
    if (error)
        rc = err_set(err, ERR_BUS, "the stream refused the message: %s (%lld)",
                     text_of(error, "description", "no reason given"),
                     (long long)json_integer_value(json_object_get(error, "err_code")));
    else if (!json_is_integer(json_object_get(v, "seq")))
        rc = err_set(err, ERR_BUS, "expected a PubAck, found '%.*s'", n < 80 ? (int)n : 80, text);
    else
        *duplicate = json_is_true(json_object_get(v, "duplicate"));
    json_decref(v);
    return rc;
}
