/* SPDX-License-Identifier: MIT */
#include "core/gateway.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/log.h"
#include "bus/bus_sub.h"
#include "core/after.h"
#include "core/alone.h"
#include "core/intake.h"
#include "core/reply.h"
#include "core/task.h"
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <uthash.h>

/* One group for everybody: where "users.get.me" and "users.get.$id" both match, or two hosts know
 * different paths, the server still gives a message to one subscription of the group only. */
#define GROUP "rbf"
#define SPACE "rpc."
#define STORE_TIMEOUT_MS 5000
#define STORE_AGAIN_MS 250
#define TOO_MANY "too many requests wait; ask again later"

struct pattern {
    struct bus_sub *sub; /* with the pattern's subject, by which it is found */
    bool live;           /* of the live generation */
    UT_hash_handle hh;
};

struct gateway {
    struct host *h;
    struct pattern *patterns; /* hash; they live as long as the bus */
    struct list waiting;      /* struct request.node: queries without a slot */
    struct list storing;      /* likewise: mutations on their way into their stream */
    int running;              /* queries that are tasks */
    int in_hand;    /* those, the waiting ones, and mutations on their way into their stream */
    uint64_t count; /* of all requests, for names */
    uint64_t dropped_logged_ms;
    bool ticking, draining, quiet;
    void (*cb)(void *arg);
    void *arg;
};

struct request {
    struct list node;
    struct gateway *g;
    struct bus_msg *msg;
    const char *subject; /* within msg's: queue subject and path */
    struct envelope env; /* borrows from msg's headers */
    uint64_t number;
    int64_t wall_ms;
    uint64_t deadline_ms; /* monotonic: to be a task, or to be stored */
    /* A mutation: what is stored. */
    char *target;
    struct hdrs hdrs;
    bool sent, repeatable; /* it may be in the stream; there, a second copy would be noticed */
    struct after *later;
};

/* --- one request: its end --- */

static void request_free(struct request *r) {
    list_remove(&r->node);
    hdrs_free(&r->hdrs);
    bus_msg_delete(r->msg);
    free(r->target);
    free(r);
}

static void finish(struct request *r) {
    r->g->in_hand--;
    request_free(r);
}

static void refuse(struct request *r, int status, const char *code, const char *message) {
    struct host *h = r->g->h;
    struct reply reply = {r->msg->reply, r->env.id, h->gen->version, status};
    h->stats.rpc_busy += status == 503;
    h->stats.refused += status != 503;
    reply_error(h, &reply, code, message, NULL);
    finish(r);
}

/* --- mutations --- */

static void store(struct request *r);

static void store_again(void *arg) {
    struct request *r = arg;
    r->later = NULL;
    store(r);
}

static void leave_unknown(struct request *r, const char *why) {
    log_warn("nobody knows whether a request is stored; its caller gets no answer from here",
             LOG_S("request_id", r->env.id), LOG_S("subject", r->target), LOG_S("error", why));
    r->g->h->stats.rpc_unknown++;
    finish(r);
}

/* Refused by the stream, or by our own checks: it is nowhere. Anything else may have arrived. */
static void on_store_failed(struct request *r, const struct err *err) {
    if (err->kind == ERR_BUS) {
        refuse(r, 503, "UNAVAILABLE", "the request could not be stored; send it again");
    } else if (err->kind == ERR_INVALID) {
        refuse(r, 413, NULL, "the request is larger than NATS takes with its headers");
    } else if (err->kind != ERR_SHUTDOWN && clock_mono_ms() < r->deadline_ms &&
               (r->repeatable || !r->sent)) {
        r->later = after_ms(r->g->h->loop, STORE_AGAIN_MS, store_again, r);
    } else {
        leave_unknown(r, err->msg);
    }
}

static void on_stored(const struct err *err, bool duplicate, void *arg) {
    if (err)
        on_store_failed(arg, err);
    else
        finish(arg); /* the worker that runs it answers */
}

static void store(struct request *r) {
    struct err err;
    if (bus_store(r->g->h->bus, r->target, &r->hdrs, r->msg->data, r->msg->len, STORE_TIMEOUT_MS,
                  on_stored, r, &err))
        r->sent = true;
    else
        on_store_failed(r, &err);
}

/* nats-server 2.9 looks for the first "Nats-Msg-Id" among the bytes of the headers. One that stands
 * in a value ("RBF-Request-Id: Nats-Msg-Id->7") can hide the real one, and then it stores twice
 * what is sent twice. */
static bool is_noticed_twice(const struct hdrs *h) {
    for (size_t i = 0; i < h->n; i++)
        if (strstr(h->v[i].value, "Nats-Msg-Id") || strstr(h->v[i].name, "Nats-Msg-Id"))
            return false;
    return true;
}

/* What the caller told its own server (an id, an expected sequence) is not for the stream, and what
 * is no header cannot be one there either. */
static bool may_travel(const struct hdr *h) {
    return strncasecmp(h->name, "Nats-", 5) != 0 && hdrs_valid(h->name, h->value);
}

/* The request id is the caller's; the Nats-Msg-Id is of this request alone: a caller that asks
 * again under the same id has another reply subject, and must be heard. */
static void forward(struct request *r) {
    const struct hdrs *from = &r->msg->hdrs;
    char id[ID_TEXT];
    for (size_t i = 0; i < from->n; i++)
        if (may_travel(&from->v[i]))
            hdrs_add(&r->hdrs, from->v[i].name, from->v[i].value);
    r->repeatable = is_noticed_twice(&r->hdrs);
    id_v4(id);
    hdrs_add(&r->hdrs, "Nats-Msg-Id", id);
    r->target = xasprintf("%s%s", r->g->h->cfg->subject_prefix, r->subject);
    r->deadline_ms = clock_mono_ms() + GATEWAY_STORE_MS;
    list_push(&r->g->storing, &r->node);
    store(r);
}

/* --- queries --- */

/* As a queue has it: twice the connections, so that plain requests and streams get the same share
 * of them; and none while a message runs alone, or is to. */
static bool has_slot(const struct gateway *g) {
    return g->running < 2 * g->h->cfg->connections && !alone_wanted(g->h->alone);
}

static void run(struct request *r) {
    struct gateway *g = r->g;
    struct plain_request p = {r->msg, r->subject, r->number, r->wall_ms, r->deadline_ms};
    r->msg = NULL; /* the task's; the request in hand is the task from now on */
    g->running++;
    request_free(r);
    task_accept_plain(g->h, &p);
}

void gateway_task_ended(struct gateway *g) {
    g->running--;
    g->in_hand--;
    gateway_tick(g);
}

/* --- both --- */

/* What has a time to wait for goes into the stream, queries too. Asked again when a query that
 * waited gets its slot: a reload may have come between. */
static void route(struct request *r) {
    struct gateway *g = r->g;
    const struct gen *gen = g->h->gen;
    int op = router_match(gen->router, r->subject, NULL);
    if (op < 0)
        refuse(r, 404, NULL, "no operation has this path");
    else if (gen->ops[op].type == OP_MUTATION || r->env.target_at > clock_db_ms())
        forward(r);
    else if (has_slot(g))
        run(r);
    else
        list_push(&g->waiting, &r->node);
}

/* A query may end while it is begun here; the loop then goes on with what that left. */
void gateway_tick(struct gateway *g) {
    uint64_t now = clock_mono_ms();
    if (g->ticking)
        return;
    g->ticking = true;
    while (!list_empty(&g->waiting)) { /* in the order of their deadlines */
        struct request *r = container_of(g->waiting.next, struct request, node);
        bool late = now >= r->deadline_ms;
        if (!late && !has_slot(g))
            break;
        list_remove(&r->node);
        if (late)
            refuse(r, 503, NULL, TOO_MANY);
        else
            route(r);
    }
    g->ticking = false;
}

/* The caller's headers become those of the contract: one id, one reply subject. -1 with err. */
static int read_headers(struct request *r, struct err *err) {
    struct hdrs *h = &r->msg->hdrs;
    char id[ID_TEXT];
    hdrs_set(h, "Reply-To", r->msg->reply);
    if (!hdrs_get(h, "RBF-Request-Id") && !hdrs_get(h, "Request-Id") &&
        !hdrs_get(h, "Nats-Msg-Id")) {
        id_v7(id);
        hdrs_add(h, "RBF-Request-Id", id);
    }
    if (envelope_parse(h, "rpc", r->number, (uint64_t)r->wall_ms * 1000000, &r->env, err))
        return -1;
    hdrs_set(h, "RBF-Request-Id", r->env.id);
    r->env.reply_to = r->env.traceparent = NULL; /* they have moved */
    return 0;
}

/* At most one line a second. */
static void drop(struct gateway *g, struct bus_msg *m) {
    uint64_t now = clock_mono_ms();
    g->h->stats.rpc_dropped++;
    if (!g->dropped_logged_ms || now - g->dropped_logged_ms >= 1000) {
        g->dropped_logged_ms = now;
        log_warn(m->reply ? "a plain request was dropped: its reply subject must be an inbox "
                            "(_INBOX…) or begin with one of the host's reply prefixes"
                          : "a plain request was dropped: it has no reply subject",
                 LOG_S("subject", m->subject), LOG_S("reply", m->reply),
                 LOG_I("dropped", g->h->stats.rpc_dropped));
    }
    bus_msg_delete(m);
}

static void on_request(struct bus_msg *m, void *arg) {
    struct gateway *g = arg;
    struct host *h = g->h;
    struct err err;
    if (!m->reply || !reply_allowed(h, m->reply)) {
        drop(g, m);
        return;
    }
    struct request *r = xcalloc(1, sizeof *r);
    list_init(&r->node);
    r->g = g;
    r->msg = m;
    r->subject = m->subject + strlen(h->cfg->subject_prefix) + strlen(SPACE);
    r->number = ++g->count;
    r->wall_ms = clock_wall_ms();
    r->deadline_ms = clock_mono_ms() + GATEWAY_WAIT_MS;
    h->stats.rpc++;
    int bad = read_headers(r, &err);
    if (++g->in_hand > h->cfg->max_rpc_waiting || g->quiet)
        refuse(r, 503, NULL, TOO_MANY);
    else if (bad)
        refuse(r, 400, NULL, err.msg);
    else
        route(r);
}

/* --- subscriptions --- */

/* "users.get.$userId" → "<prefix>rpc.<queue subject>.users.get.*" */
static char *pattern_of(const struct host *h, const struct gen_op *op) {
    struct buf out = {0};
    buf_printf(&out, "%s%s%s.", h->cfg->subject_prefix, SPACE, h->gen->queues[op->queue].subject);
    for (const char *p = op->path; *p; p += strcspn(p, ".")) {
        if (*p == '.')
            buf_putc(&out, *p++);
        if (*p == '$')
            buf_putc(&out, '*');
        else
            buf_put(&out, p, strcspn(p, "."));
    }
    return buf_steal(&out);
}

static void subscribe(struct gateway *g, const char *subject) {
    struct err err;
    struct pattern *p;
    HASH_FIND_STR(g->patterns, subject, p);
    if (p) {
        p->live = true;
        return;
    }
    struct bus_sub *sub = bus_sub_new(g->h->bus, subject, GROUP, on_request, g, &err);
    if (!sub) {
        log_error("an operation has no plain requests", LOG_S("error", err.msg));
        return;
    }
    p = xcalloc(1, sizeof *p);
    p->sub = sub;
    p->live = true;
    const char *key = bus_sub_subject(sub);
    HASH_ADD_KEYPTR(hh, g->patterns, key, strlen(key), p);
}

static void on_known(const struct bus_msg *m, const struct err *err, void *arg) {
    struct gateway *g = arg;
    void (*cb)(void *) = g->cb;
    g->cb = NULL;
    if (cb && !(err && err->kind == ERR_SHUTDOWN))
        cb(g->arg);
}

void gateway_apply(struct gateway *g, void (*cb)(void *arg), void *arg) {
    const struct gen *gen = g->h->gen;
    struct err err;
    for (struct pattern *p = g->patterns; p; p = p->hh.next)
        p->live = false;
    for (int i = 0; i < gen->n_ops && !g->draining; i++) {
        if (!intake_serves(g->h, gen->ops[i].queue_name))
            continue;
        char *subject = pattern_of(g->h, &gen->ops[i]);
        subscribe(g, subject);
        free(subject);
    }
    for (struct pattern *p = g->patterns; p; p = p->hh.next)
        bus_sub_switch(p->sub, p->live);
    g->cb = cb;
    g->arg = arg;
    if (!bus_echo(g->h->bus, STORE_TIMEOUT_MS, on_known, g, &err))
        on_known(NULL, &err, g);
}

/* --- the end --- */

static void on_quiet(const struct bus_msg *m, const struct err *err, void *arg) {
    struct gateway *g = arg;
    g->quiet = true; /* or NATS is away: then nothing comes either */
}

void gateway_drain(struct gateway *g) {
    struct err err;
    g->draining = true;
    for (struct pattern *p = g->patterns; p; p = p->hh.next)
        bus_sub_switch(p->sub, false);
    if (!bus_echo(g->h->bus, GATEWAY_WAIT_MS, on_quiet, g, &err))
        g->quiet = true;
}

bool gateway_idle(const struct gateway *g) {
    return g->quiet && g->in_hand == 0;
}

/* Of a mutation on its way into its stream nobody can say anything. */
void gateway_give_up(struct gateway *g) {
    g->quiet = true;
    list_each_safe(&g->waiting, it) refuse(container_of(it, struct request, node), 503, NULL,
                                           "the host is shutting down; ask again");
    task_give_up_plain(g->h);
}

struct gateway *gateway_new(struct host *h) {
    struct gateway *g = xcalloc(1, sizeof *g);
    g->h = h;
    list_init(&g->waiting);
    list_init(&g->storing);
    return g;
}

void gateway_close(struct gateway *g) {
    list_each_safe(&g->storing, it) {
        struct request *r = container_of(it, struct request, node);
        if (!r->later)
            continue; /* the bus tells it */
        after_cancel(&r->later);
        leave_unknown(r, "the host ended");
    }
}

void gateway_delete(struct gateway *g) {
    struct list *node;
    struct pattern *p, *next;
    if (!g)
        return;
    HASH_ITER(hh, g->patterns, p, next) {
        HASH_DEL(g->patterns, p);
        free(p);
    }
    while ((node = list_pop(&g->waiting)))
        request_free(container_of(node, struct request, node));
    free(g);
}
