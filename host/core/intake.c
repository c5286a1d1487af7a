/* SPDX-License-Identifier: MIT */
#include "core/intake.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "bus/stream.h"
#include "core/after.h"
#include "core/alone.h"
#include "core/queuespec.h"
#include "core/task.h"
#include <stdlib.h>
#include <string.h>

#define ENSURE_AGAIN_MS 1000
#define GROUPS_IN_HAND 8
#define SAY_EACH 30 /* refusals */

struct queue {
    struct list node; /* in intake.queues */
    struct intake *in;
    char *name;
    struct stream_spec spec;
    int64_t concurrency, group;
    int64_t limit; /* that its open pulls were made for; 0: none were */
    int in_hand;
    int ended, pace;      /* since the last tick; in a tick, lately */
    bool ensuring, stale; /* an ensure is under way; its spec has changed since */
    bool live;            /* of the live generation */
    bool ready;           /* stream and consumer are there */
    unsigned refusals;    /* one after the other */
    struct pull *pull;    /* NULL until it is asked for messages the first time */
    struct after *later;
};

struct intake {
    struct host *h;
    struct list queues;
    struct err refused; /* the first refusal of the apply under way */
    bool started;       /* queues that are ready are asked for messages */
    bool closed;
    void (*cb)(const struct err *err, void *arg);
    void *arg;
};

const char *queue_name(const struct queue *q) {
    return q->name;
}

int64_t queue_ack_wait_ms(const struct queue *q) {
    return q->spec.ack_wait_ms;
}

/* --- how much --- */

static int64_t least(int64_t a, int64_t b) {
    return a < b ? a : b;
}

/* At any time: twice the connections, so that the next message is there when one ends, or enough
 * for groups on a few of them. */
static int64_t limit_of(const struct queue *q) {
    int64_t pairs = 2 * q->in->h->cfg->connections, groups = GROUPS_IN_HAND * q->group;
    int64_t most = pairs > groups ? pairs : groups;
    return q->concurrency ? least(q->concurrency, most) : most;
}

/* Beyond twice the connections only what the queue ends within two ticks: never many that would
 * wait here while other hosts are idle. Each queue for itself, so that a slow one does not starve
 * the others. */
static int room(const struct queue *q) {
    const struct host *h = q->in->h;
    int64_t pairs = 2 * h->cfg->connections, soon = 2 * (int64_t)q->pace;
    int64_t most = least(pairs > soon ? pairs : soon, limit_of(q));
    if (h->draining || !q->live || !pgpool_up(h->pool) || alone_wanted(h->alone))
        return 0;
    return most > q->in_hand ? (int)most - q->in_hand : 0;
}

static void refresh(struct queue *q) {
    if (q->ready && q->pull)
        pull_want(q->pull, room(q));
}

void queue_task_ended(struct queue *q) {
    q->in_hand--;
    q->ended++;
    refresh(q);
}

void intake_tick(struct intake *in) {
    list_each(&in->queues, it) {
        struct queue *q = container_of(it, struct queue, node);
        q->pace = q->ended > q->pace / 2 ? q->ended : q->pace / 2;
        q->ended = 0;
        refresh(q);
    }
}

void intake_refresh(struct intake *in) {
    list_each(&in->queues, it) refresh(container_of(it, struct queue, node));
}

void intake_drain(struct intake *in) {
    list_each(&in->queues, it) {
        struct queue *q = container_of(it, struct queue, node);
        if (q->pull)
            pull_want(q->pull, 0);
    }
    pulls_end(in->h->bus);
}

/* --- messages --- */

static void on_message(struct pull *p, struct bus_msg *m, void *arg) {
    struct queue *q = arg;
    struct host *h = q->in->h;
    if (FAILPOINT("intake.pulled")) { /* lost on its way: it comes again */
        bus_msg_delete(m);
        return;
    }
    if (h->draining || !q->live) { /* asked for before that */
        bus_ack(h->bus, m->reply, "-NAK");
        h->stats.naks++;
        bus_msg_delete(m);
        return;
    }
    q->in_hand++;
    task_accept(h, q, m);
    refresh(q);
}

static void ensure_later(void *arg);

/* As with each new process of nats-server. Not at once: a stream that is being deleted loses its
 * consumers first. A queue that the app no longer has is not made again. */
static void on_gone(struct pull *p, const struct err *err, void *arg) {
    struct queue *q = arg;
    q->ready = false;
    if (!q->live || q->in->h->draining)
        return;
    log_info("consumer is gone; making it again", LOG_S("queue", q->name),
             LOG_S("error", err ? err->msg : NULL));
    if (!q->later)
        q->later = after_ms(q->in->h->loop, ENSURE_AGAIN_MS, ensure_later, q);
}

/* --- streams and consumers --- */

static void start_pulling(struct queue *q) {
    if (q->pull)
        pull_resume(q->pull);
    else
        q->pull = pull_new(q->in->h->bus, q->spec.stream, q->spec.consumer, on_message, on_gone, q);
    refresh(q);
}

static bool is_start(const struct intake *in) {
    return !in->started && in->h->gen->number == 1;
}

/* Takes nothing before it is sure to serve: at the start one refusal ends the worker, and what
 * kills it before is taken for the start's fault. */
static void start_all(struct intake *in) {
    in->started = true;
    list_each(&in->queues, it) {
        struct queue *q = container_of(it, struct queue, node);
        if (q->ready)
            start_pulling(q);
    }
}

/* The apply under way is over once no queue waits for its stream any more. */
static void check_applied(struct intake *in) {
    void (*cb)(const struct err *, void *) = in->cb;
    list_each(&in->queues, it) {
        if (container_of(it, struct queue, node)->ensuring)
            return;
    }
    in->cb = NULL;
    if (!in->started && !(is_start(in) && in->refused.kind))
        start_all(in);
    if (cb)
        cb(in->refused.kind ? &in->refused : NULL, in->arg);
}

static void ensure(struct queue *q);

static void ensure_later(void *arg) {
    struct queue *q = arg;
    q->later = NULL;
    ensure(q);
}

/* At the start a refusal ends the worker; later the other queues serve on, and this one is tried
 * until it is mended. */
static void refused(struct queue *q, const struct err *err) {
    struct intake *in = q->in;
    if (!in->refused.kind)
        in->refused = *err;
    if (is_start(in))
        return;
    if (q->refusals++ % SAY_EACH == 0)
        log_error("queue not ready", LOG_S("queue", q->name), LOG_S("error", err->msg));
    if (!q->later)
        q->later = after_ms(in->h->loop, ENSURE_AGAIN_MS, ensure_later, q);
}

static void ready(struct queue *q) {
    q->ready = true;
    q->refusals = 0;
    if (q->in->started)
        start_pulling(q);
}

static void on_ensured(const struct err *err, void *arg) {
    struct queue *q = arg;
    if (q->in->closed)
        return;
    q->ensuring = false;
    if (q->stale)
        ensure(q);
    else if (err)
        refused(q, err);
    else
        ready(q);
    check_applied(q->in);
}

static void ensure(struct queue *q) {
    q->stale = q->ensuring; /* the one under way borrows the spec as it was */
    if (q->ensuring)
        return;
    q->ensuring = true;
    stream_ensure(q->in->h->bus, &q->spec, on_ensured, q);
}

/* --- queues from the generation --- */

static struct queue *find(struct intake *in, const struct stream_spec *spec) {
    list_each(&in->queues, it) {
        struct queue *q = container_of(it, struct queue, node);
        if (!strcmp(q->spec.stream, spec->stream) && !strcmp(q->spec.subjects, spec->subjects))
            return q;
    }
    return NULL;
}

/* Of a queue that is there already: what a reload changes, and what it cannot. */
static void take_changes(struct queue *q, const struct stream_spec *wanted) {
    if (strcmp(q->spec.consumer, wanted->consumer))
        log_warn("a queue's consumer is not changed by a reload: delete the old one, then restart",
                 LOG_S("queue", q->name), LOG_S("stream", q->spec.stream),
                 LOG_S("used", q->spec.consumer), LOG_S("wanted", wanted->consumer));
    q->spec.ack_wait_ms = wanted->ack_wait_ms;
    q->spec.replicas = wanted->replicas;
    q->spec.shared = wanted->shared;
}

/* Borrows nothing of g: generations go, queues stay. */
static struct queue *queue_for(struct intake *in, const struct gen *gen, int i, bool *changed) {
    const struct gen_queue *g = &gen->queues[i];
    struct stream_spec spec;
    queuespec_fill(&spec, in->h->cfg, gen, i);
    struct queue *q = find(in, &spec);
    *changed = !q || !q->ready || q->spec.ack_wait_ms != spec.ack_wait_ms ||
               q->spec.replicas != spec.replicas || q->spec.shared != spec.shared;
    bool made = !q;
    if (made) {
        q = xcalloc(1, sizeof *q);
        q->in = in;
        q->spec = spec;
        list_push(&in->queues, &q->node);
    }
    free(q->name);
    q->name = xstrdup(g->name);
    if (!made) {
        take_changes(q, &spec);
        queuespec_free(&spec);
    }
    q->concurrency = g->concurrency;
    q->group = g->group;
    return q;
}

/* --queues a,b: is it ours? */
bool intake_serves(const struct host *h, const char *name) {
    const char *names = h->cfg->queues;
    size_t n = strlen(name);
    if (!names || !*names)
        return true;
    for (const char *p = names; p; p = strchr(p, ',')) {
        p += *p == ',';
        if (!strncmp(p, name, n) && (p[n] == ',' || !p[n]))
            return true;
    }
    return false;
}

/* A queue that is gone, or with less concurrency: its open pulls would bring more than it takes. */
static void take_back(struct intake *in) {
    bool less = false;
    list_each(&in->queues, it) {
        struct queue *q = container_of(it, struct queue, node);
        int64_t now = q->live ? limit_of(q) : 0;
        less = less || now < q->limit;
        q->limit = now;
    }
    if (less)
        pulls_renew(in->h->bus);
}

void intake_apply(struct intake *in, void (*cb)(const struct err *err, void *arg), void *arg) {
    const struct gen *g = in->h->gen;
    in->cb = cb;
    in->arg = arg;
    err_clear(&in->refused);
    list_each(&in->queues, it) container_of(it, struct queue, node)->live = false;
    for (int i = 0; i < g->n_queues; i++) {
        bool changed;
        if (!intake_serves(in->h, g->queues[i].name))
            continue;
        struct queue *q = queue_for(in, g, i, &changed);
        q->live = true;
        if (changed)
            ensure(q);
    }
    intake_refresh(in); /* those that are gone from the app stop here */
    take_back(in);
    check_applied(in);
}

char **intake_streams(const struct intake *in) {
    const struct gen *g = in->h->gen;
    size_t n = (size_t)g->n_queues;
    list_each(&in->queues, it) n++;
    char **names = xcalloc(n + 1, sizeof *names);
    n = 0;
    list_each(&in->queues, it) names[n++] =
        xstrdup(container_of(it, struct queue, node)->spec.stream);
    for (int i = 0; i < g->n_queues; i++)
        names[n++] = queuespec_stream(in->h->cfg, &g->queues[i]);
    return names;
}

struct intake *intake_new(struct host *h) {
    struct intake *in = xcalloc(1, sizeof *in);
    in->h = h;
    list_init(&in->queues);
    return in;
}

void intake_close(struct intake *in) {
    in->closed = true;
    list_each(&in->queues, it) {
        struct queue *q = container_of(it, struct queue, node);
        after_cancel(&q->later);
        q->ready = false;
        if (q->pull)
            pull_delete(q->pull);
        q->pull = NULL;
    }
}

void intake_delete(struct intake *in) {
    struct list *node;
    if (!in)
        return;
    while ((node = list_pop(&in->queues))) {
        struct queue *q = container_of(node, struct queue, node);
        queuespec_free(&q->spec);
        free(q->name);
        free(q);
    }
    free(in);
}
