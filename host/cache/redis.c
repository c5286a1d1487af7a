/* SPDX-License-Identifier: MIT */
#include "cache/redis.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/list.h"
#include "base/log.h"
#include "cache/redis_link.h"
#include "cache/redis_script.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define HELD_MAX 10000 /* keys; their rows are in the outbox all the same */

struct redis {
    struct redis_link *link;
    struct redis_link_owner owner;
    char *prefix;
    void (*on_up)(void *arg);
    void *arg;
    bool synced;            /* now is of this connection */
    struct redis_stamp now; /* of the last answer */
    char name[ID_TEXT];     /* of this process, for the eras it begins */
    uint64_t n_eras;
    struct list jobs; /* struct job.node: invalidations that Redis has not confirmed */
    size_t held;      /* keys in them */
    uv_timer_t timer; /* their deadlines */
    /* given up: the next connection begins an era for as many as there are then */
    int owed, paying;
    bool complained; /* of an error, since it came up */
};

/* --- a script's keys and arguments --- */

struct args {
    struct buf text;
    size_t at[1024], lens[1024];
    const char *v[1024];
    int n, n_keys;
};

static void put(struct args *a, const char *p, size_t n) {
    a->at[a->n] = a->text.len;
    a->lens[a->n++] = n;
    buf_put(&a->text, p, n);
}

static void put_text(struct args *a, const char *s) {
    put(a, s, strlen(s));
}

static void put_number(struct args *a, uint64_t n) {
    char text[24];
    put(a, text, (size_t)snprintf(text, sizeof text, "%" PRIu64, n));
}

static void put_key(struct args *a, const struct redis *r, const char *kind, const char *key) {
    size_t from = a->text.len;
    buf_printf(&a->text, "rbf:%s:%s", r->prefix, kind);
    buf_puts(&a->text, key);
    a->at[a->n] = from;
    a->lens[a->n++] = a->text.len - from;
}

static void put_entry(struct args *a, const struct redis *r, const char *key) {
    put_key(a, r, "v:", key);
    put_key(a, r, "t:", key);
}

/* All scripts begin with them: KEYS[1]; ARGV[1] and [2]. */
static void put_count(struct args *a, const struct redis *r) {
    put_key(a, r, "seq", "");
}

static void put_common(struct args *a, struct redis *r) {
    char era[48];
    a->n_keys = a->n;
    put_text(a, redis_link_run_id(r->link));
    snprintf(era, sizeof era, "%.8s%.12s-%" PRIx64, r->name, r->name + 24, ++r->n_eras);
    put_text(a, era);
}

static struct args *args_new(void) {
    struct args *a = xmalloc(sizeof *a); /* large: not on the stack */
    memset(&a->text, 0, sizeof a->text);
    a->n = a->n_keys = 0;
    return a;
}

/* Takes a. */
static bool eval(struct redis *r, int script, struct args *a, redis_link_cb cb, void *arg) {
    for (int i = 0; i < a->n; i++)
        a->v[i] = a->text.p + a->at[i];
    const struct redis_args args = {a->n_keys, a->n, a->v, a->lens};
    bool sent = redis_link_eval(r->link, script, &args, cb, arg);
    buf_free(&a->text);
    free(a);
    return sent;
}

/* --- answers: { what was asked for, era, number } --- */

static bool is_answer(const redisReply *reply) {
    return reply && reply->type == REDIS_REPLY_ARRAY && reply->elements == 3 &&
           reply->element[1]->str && reply->element[2]->str;
}

static void complain(struct redis *r, const redisReply *reply) {
    if (reply && reply->type == REDIS_REPLY_ERROR && !r->complained) {
        log_warn("Redis answers with an error; that is a miss", LOG_S("error", reply->str));
        r->complained = true;
    }
}

/* NULL when it is none. */
static const redisReply *take_answer(struct redis *r, const redisReply *reply) {
    if (!is_answer(reply)) {
        complain(r, reply);
        return NULL;
    }
    snprintf(r->now.era, sizeof r->now.era, "%s", reply->element[1]->str);
    r->now.number = strtoull(reply->element[2]->str, NULL, 10);
    return reply->element[0];
}

/* --- get, set --- */

struct redis_get {
    struct redis *r;
    redis_get_cb cb; /* NULL: nobody waits any more */
    void *arg;
};

static void on_got(const redisReply *reply, void *arg) {
    struct redis_get *g = arg;
    const redisReply *text = take_answer(g->r, reply);
    bool hit = text && text->type == REDIS_REPLY_STRING;
    if (g->cb)
        g->cb(hit ? text->str : NULL, hit ? text->len : 0, text ? &g->r->now : NULL, g->arg);
    free(g);
}

struct redis_get *redis_get(struct redis *r, const char *key, redis_get_cb cb, void *arg) {
    if (!redis_up(r))
        return NULL;
    struct redis_get *g = xcalloc(1, sizeof *g);
    struct args *a = args_new();
    g->r = r;
    g->cb = cb;
    g->arg = arg;
    put_count(a, r);
    put_entry(a, r, key);
    put_common(a, r);
    if (eval(r, SCRIPT_GET, a, on_got, g))
        return g;
    free(g);
    return NULL;
}

void redis_get_cancel(struct redis_get *g) {
    if (g)
        g->cb = NULL;
}

static void on_set(const redisReply *reply, void *arg) {
    (void)take_answer(arg, reply);
}

void redis_set(struct redis *r, const char *key, const char *text, size_t len, uint64_t ttl_ms,
               const struct redis_stamp *began) {
    if (!redis_up(r) || !began->era[0])
        return;
    struct args *a = args_new();
    put_count(a, r);
    put_entry(a, r, key);
    put_common(a, r);
    put_text(a, began->era);
    put_number(a, began->number);
    put(a, text, len);
    put_number(a, ttl_ms);
    (void)eval(r, SCRIPT_SET, a, on_set, r);
}

/* --- invalidation: kept until Redis has confirmed it --- */

#define JOB_KEYS 500 /* at most in one script: others wait while it runs */

struct job {
    struct list node;
    struct redis *r;
    struct buf keys; /* each with its NUL */
    size_t n;
    bool all, sent;
    uint64_t deadline_ms;
    redis_done_cb cb; /* of the last part only */
    void *arg;
};

static void job_end(struct job *j, const struct err *err) {
    redis_done_cb cb = j->cb;
    void *arg = j->arg;
    list_remove(&j->node);
    j->r->held -= j->n;
    if (err)
        j->r->owed++;
    buf_free(&j->keys);
    free(j);
    if (cb)
        cb(err, arg);
}

static void on_job(const redisReply *reply, void *arg);

static void job_send(struct job *j) {
    struct redis *r = j->r;
    struct args *a = args_new();
    const char *key = j->keys.p;
    put_count(a, r);
    for (size_t i = 0; i < j->n; i++, key += strlen(key) + 1)
        put_entry(a, r, key);
    put_common(a, r);
    if (j->all)
        put_text(a, "new");
    j->sent = eval(r, j->all ? SCRIPT_SYNC : SCRIPT_INVALIDATE, a, on_job, j);
}

/* A job that Redis could not take is sent again with the next connection; an error answer (it is
 * full, say) is one for whoever asked. */
static void on_job(const redisReply *reply, void *arg) {
    struct job *j = arg;
    struct err err;
    j->sent = false;
    if (take_answer(j->r, reply)) {
        job_end(j, NULL);
    } else if (reply) {
        err_set(&err, ERR_SYS, "Redis: %s", reply->str ? reply->str : "an answer of no known form");
        job_end(j, &err);
    } else if (clock_mono_ms() >= j->deadline_ms) {
        err_set(&err, ERR_TIMEOUT, "Redis is away");
        job_end(j, &err);
    }
}

static void arm(struct redis *r);

static void on_deadline(uv_timer_t *timer) {
    struct redis *r = timer->data;
    uint64_t now = clock_mono_ms();
    struct err err;
    err_set(&err, ERR_TIMEOUT, "Redis is away");
    list_each_safe(&r->jobs, it) {
        struct job *j = container_of(it, struct job, node);
        if (!j->sent && now >= j->deadline_ms) /* one that is sent gets its answer, or NULL */
            job_end(j, &err);
    }
    arm(r);
}

static void arm(struct redis *r) {
    if (!list_empty(&r->jobs) && !uv_is_active((uv_handle_t *)&r->timer))
        uv_timer_start(&r->timer, on_deadline, 100, 0);
}

static struct job *job_new(struct redis *r, int timeout_ms) {
    struct job *j = xcalloc(1, sizeof *j);
    j->r = r;
    j->deadline_ms = clock_mono_ms() + (uint64_t)timeout_ms;
    list_push(&r->jobs, &j->node);
    return j;
}

static void job_begin(struct job *j) {
    struct redis *r = j->r;
    r->held += j->n;
    if (redis_link_up(r->link))
        job_send(j);
    else if (r->held > HELD_MAX)
        j->deadline_ms = 0; /* the next look at the deadlines ends it */
    arm(r);
}

void redis_invalidate(struct redis *r, const char *const *keys, size_t n, bool all, int timeout_ms,
                      redis_done_cb cb, void *arg) {
    size_t i = 0;
    struct job *j;
    do {
        j = job_new(r, timeout_ms);
        j->all = all;
        for (; i < n && j->n < JOB_KEYS && !all; i++, j->n++)
            buf_put(&j->keys, keys[i], strlen(keys[i]) + 1);
        if (i >= n || all) { /* answered in their order: the last one speaks for all */
            j->cb = cb;
            j->arg = arg;
        }
        job_begin(j);
    } while (i < n && !all);
}

/* --- coming up --- */

static void on_synced(const redisReply *reply, void *arg) {
    struct redis *r = arg;
    if (!take_answer(r, reply))
        return;
    r->synced = true;
    r->owed -= r->paying;
    r->paying = 0;
    r->on_up(r->arg);
}

/* What is held goes first, before anything is read through this connection. */
static void on_link_up(void *arg) {
    struct redis *r = arg;
    struct args *a = args_new();
    r->complained = false;
    put_count(a, r);
    put_common(a, r);
    r->paying = r->owed;
    if (r->paying)
        put_text(a, "new");
    list_each(&r->jobs, it) job_send(container_of(it, struct job, node));
    (void)eval(r, SCRIPT_SYNC, a, on_synced, r);
}

static void on_link_down(void *arg) {
    struct redis *r = arg;
    r->synced = false;
    memset(&r->now, 0, sizeof r->now);
}

struct redis *redis_new(uv_loop_t *loop, const char *url, const char *prefix,
                        void (*on_up)(void *arg), void *arg, struct err *err) {
    struct redis_url where;
    if (redis_url_parse(url, &where, err))
        return NULL;
    struct redis *r = xcalloc(1, sizeof *r);
    r->prefix = xstrdup(prefix);
    r->on_up = on_up;
    r->arg = arg;
    r->owner = (struct redis_link_owner){redis_scripts, on_link_up, on_link_down, r};
    id_v4(r->name);
    list_init(&r->jobs);
    uv_timer_init(loop, &r->timer);
    r->timer.data = r;
    r->link = redis_link_new(loop, &where, &r->owner);
    return r;
}

bool redis_up(const struct redis *r) {
    return r->synced && redis_link_up(r->link);
}

const struct redis_stamp *redis_now(const struct redis *r) {
    return &r->now;
}

static void on_closed(uv_handle_t *handle) {
    free(handle->data);
}

void redis_delete(struct redis *r) {
    struct err err;
    if (!r)
        return;
    redis_link_delete(r->link); /* what was sent comes back as held */
    err_set(&err, ERR_SHUTDOWN, "the host is stopping");
    list_each_safe(&r->jobs, it) job_end(container_of(it, struct job, node), &err);
    free(r->prefix);
    uv_close((uv_handle_t *)&r->timer, on_closed);
}
