/* SPDX-License-Identifier: MIT */
/* Pulls by hand (libnats's own fetch blocks and allows one request). The server hands a request's
 * messages out under their stream subject, so a message does not tell which of several requests it
 * answers, and the server serves requests in turn. Hence `outstanding` is a sum: plus each batch,
 * minus each message, minus what a status says was not delivered. The requests' own `left` only say
 * when one is finished (counted against the oldest first) and are kept equal to the sum. */
#include "base/clock.h"
#include "base/log.h"
#include "bus/bus_private.h"
#include "bus/bus_sub.h"
#include "bus/jsapi.h"
#include "bus/stream.h"
#include <stdlib.h>
#include <string.h>

struct pull_times pull_times = {
    .expires_ms = 30000,
    .local_expiry_ms = 31000, /* the server can omit its 408 */
    .heartbeat_ms = 5000,
    .silence_ms = 11000, /* two heartbeats and a bit */
};
#define ECHO_MS 3000

struct request {
    struct list node; /* oldest first */
    unsigned number;
    int batch, left;
    uint64_t asked_ms;
};

struct pull {
    struct bus *b; /* NULL when the bus went first */
    struct list node, requests;
    unsigned id, last_number;
    unsigned done_with; /* statuses of requests up to this number say nothing new */
    char *stream, *consumer, *subject;
    pull_msg_cb on_msg;
    pull_gone_cb on_gone;
    void *arg;
    int want, outstanding;
    bool gone;
    bool unsure;       /* whether the consumer is still there: the connection was away since */
    bool told;         /* that it remains so */
    int silences;      /* in a row, though the consumer is there */
    uint64_t heard_ms; /* a message or status, or the first request after none */
    uint64_t check;    /* the pending CONSUMER.INFO or echo */
};

/* What is outstanding */

static void request_drop(struct pull *p, struct request *r) {
    p->outstanding -= r->left;
    list_remove(&r->node);
    free(r);
}

static void drop_all(struct pull *p) {
    p->done_with = p->last_number;
    while (!list_empty(&p->requests))
        request_drop(p, container_of(p->requests.next, struct request, node));
}

/* One message came, or was never sent: the oldest request has one less to bring. */
static void count_down(struct pull *p, int n) {
    while (n > 0 && !list_empty(&p->requests)) {
        struct request *r = container_of(p->requests.next, struct request, node);
        int take = n < r->left ? n : r->left;
        r->left -= take;
        p->outstanding -= take;
        n -= take;
        if (r->left == 0)
            request_drop(p, r);
    }
}

/* A request ended with `rest` messages not delivered. What was counted against it and was another's
 * is given to, or taken from, the others; with none left nothing can be outstanding. */
static void settle(struct pull *p, struct request *r, int rest) {
    int before = p->outstanding;
    if (r)
        request_drop(p, r);
    int after = before > rest ? before - rest : 0;
    if (p->outstanding > after)
        count_down(p, p->outstanding - after);
    else if (!list_empty(&p->requests)) {
        struct request *oldest = container_of(p->requests.next, struct request, node);
        oldest->left += after - p->outstanding;
        p->outstanding = after;
    }
}

static struct request *request_find(struct pull *p, unsigned number) {
    list_each(&p->requests, it) {
        struct request *r = container_of(it, struct request, node);
        if (r->number == number)
            return r;
    }
    return NULL;
}

static void heard(struct pull *p) {
    p->heard_ms = clock_mono_ms();
    p->silences = 0;
}

/* Asking */

static int send_request(struct pull *p, unsigned number, int batch) {
    char body[128], reply[96 + 32];
    int n = snprintf(body, sizeof body,
                     "{\"batch\":%d,\"expires\":%d000000,\"idle_heartbeat\":%d000000}", batch,
                     pull_times.expires_ms, pull_times.heartbeat_ms);
    snprintf(reply, sizeof reply, "%s.p.%x.%x-%x", p->b->inbox, p->b->pull_round, p->id, number);
    return bus_publish(p->b, p->subject, reply, NULL, body, (size_t)n, NULL);
}

static void ask(struct pull *p, int batch) {
    unsigned number = ++p->last_number;
    if (send_request(p, number, batch) < 0)
        return; /* down: asked again when up */
    struct request *r = xcalloc(1, sizeof *r);
    r->number = number;
    r->batch = r->left = batch;
    r->asked_ms = clock_mono_ms();
    if (p->outstanding == 0)
        p->heard_ms = r->asked_ms;
    p->outstanding += batch;
    list_push(&p->requests, &r->node);
}

/* Each finished task raises want by one. Asking each time would be a pull request a message, each
 * parsed as JSON by the server, so the next is sent when less than half of what is wanted is still
 * to come (or nothing is): their number falls to the logarithm while slots come free one by one. */
static void top_up(struct pull *p) {
    if (!p->b || p->gone || p->unsure || !bus_up(p->b) || p->want <= p->outstanding)
        return;
    if (p->outstanding == 0 || p->outstanding * 2 < p->want)
        ask(p, p->want - p->outstanding);
}

/* Is it still there? */

static void go(struct pull *p, const char *why) {
    struct err err;
    err_set(&err, ERR_BUS, "stream '%s', consumer '%s': %s", p->stream, p->consumer, why);
    drop_all(p);
    if (p->gone)
        return;
    p->gone = true;
    p->unsure = false;
    p->on_gone(p, &err, p->arg);
}

static void on_echo(const struct bus_msg *m, const struct err *err, void *arg) {
    struct pull *p = arg;
    p->check = 0;
    if (err && err->kind == ERR_TIMEOUT) {
        log_warn("NATS does not answer, connecting again", LOG_S("stream", p->stream));
        bus_reconnect(p->b);
    }
    p->heard_ms = clock_mono_ms(); /* JetStream alone is silent: look again later */
}

/* Asked again each tick while it is unsure; said once. */
static void on_no_info(struct pull *p, const struct err *err) {
    if (err->kind == ERR_TIMEOUT)
        p->check = bus_echo(p->b, ECHO_MS, on_echo, p, NULL);
    if (!p->unsure || p->told || !bus_up(p->b))
        return;
    log_warn("nothing is pulled until NATS tells of the consumer", LOG_S("stream", p->stream),
             LOG_S("error", err->msg));
    p->told = true;
}

/* Our requests were silent. Once: they may live all the same, the server or this process having
 * been stopped, and must not be served beside new ones. Again: nobody serves them. */
static void ask_anew(struct pull *p) {
    if (p->silences == 1) {
        pulls_renew(p->b);
        return;
    }
    drop_all(p);
    top_up(p);
}

static void on_info(const struct bus_msg *m, const struct err *failed, void *arg) {
    struct pull *p = arg;
    struct err err;
    int code;
    p->check = 0;
    json_t *info = jsapi_answer(m, failed, &code, &err);
    p->heard_ms = clock_mono_ms();
    if (info) {
        json_decref(info);
        p->silences += !p->unsure;
        if (p->silences == 2)
            log_warn("NATS has the consumer, but gives neither messages nor heartbeats: start "
                     "nats-server anew, or delete the consumer (the host makes it again)",
                     LOG_S("stream", p->stream), LOG_S("consumer", p->consumer));
        p->unsure = false;
        ask_anew(p);
    } else if (code == JSAPI_NO_CONSUMER || code == JSAPI_NO_STREAM)
        go(p, err.msg);
    else
        on_no_info(p, &err);
}

static void check(struct pull *p) {
    if (!p->check && bus_up(p->b))
        p->check =
            jsapi_call(p->b, "CONSUMER.INFO", p->stream, p->consumer, NULL, on_info, p, NULL);
}

static void tick(struct pull *p, uint64_t now) {
    list_each_safe(&p->requests, it) {
        struct request *r = container_of(it, struct request, node);
        if (now - r->asked_ms <= pull_times.local_expiry_ms)
            break;
        p->done_with = r->number;
        settle(p, r, r->left);
    }
    if (p->unsure || (p->outstanding > 0 && now - p->heard_ms > pull_times.silence_ms))
        check(p);
    top_up(p);
}

void pulls_tick(struct bus *b) {
    uint64_t now = clock_mono_ms();
    list_each_safe(&b->pulls, it) tick(container_of(it, struct pull, node), now);
}

/* What comes */

static struct pull *pull_by_id(struct bus *b, unsigned id) {
    list_each(&b->pulls, it) {
        struct pull *p = container_of(it, struct pull, node);
        if (p->id == id)
            return p;
    }
    return NULL;
}

/* A refusal says nothing of the rest: it brought nothing. */
static int undelivered(const struct request *r, const struct bus_msg *m) {
    const char *pending = hdrs_get(&m->hdrs, "Nats-Pending-Messages");
    if (pending)
        return atoi(pending);
    return r ? r->batch : 0;
}

static bool consumer_deleted(const struct bus_msg *m) {
    const char *text = hdrs_get(&m->hdrs, "Description");
    return m->status == 409 && text && strstr(text, "Deleted");
}

static void on_status(struct pull *p, unsigned number, const struct bus_msg *m) {
    if (number > p->done_with)
        heard(p);
    if (consumer_deleted(m) && number > p->done_with) {
        go(p, "it was deleted");
        return;
    }
    if (m->status == 100 || number <= p->done_with)
        return;
    if (m->status != 404 && m->status != 408)
        log_warn("a pull was refused", LOG_S("stream", p->stream), LOG_I("status", m->status),
                 LOG_S("reason", hdrs_get(&m->hdrs, "Description")));
    struct request *r = request_find(p, number);
    settle(p, r, undelivered(r, m));
    if (m->status == 408)
        top_up(p); /* others wait for the tick: a refusal may be repeated at once */
}

/* Its tokens, "<round>.<pull>-<request>", name a pull. */
static void on_any_status(struct bus *b, const char *token, const struct bus_msg *m) {
    unsigned round, id, number;
    if (m->status == 0 || sscanf(token, "%x.%x-%x", &round, &id, &number) != 3)
        return;
    struct pull *p = pull_by_id(b, id);
    if (p)
        on_status(p, number, m);
}

static struct pull *pull_of(struct bus *b, const char *reply) {
    struct ack_subject ack;
    if (!reply || ack_subject_parse(reply, &ack) < 0)
        return NULL;
    list_each(&b->pulls, it) {
        struct pull *p = container_of(it, struct pull, node);
        if (strcmp(p->stream, ack.stream) == 0 && strcmp(p->consumer, ack.consumer) == 0)
            return p;
    }
    return NULL;
}

/* One for no pull is given back to the stream. */
static void on_message(struct bus *b, struct bus_msg *m) {
    m->status = 0; /* a client's header of that name */
    struct pull *p = pull_of(b, m->reply);
    if (!p) {
        bus_ack(b, m->reply, "-NAK");
        bus_msg_delete(m);
        return;
    }
    heard(p);
    count_down(p, 1);
    if (p->want > 0)
        p->want--;
    top_up(p);
    p->on_msg(p, m, p->arg); /* may delete p */
}

/* A stream's message bears its stream's subject. */
static void on_pulled(struct bus_msg *m, void *arg) {
    struct bus *b = arg;
    size_t n = b->inbox_len;
    if (strncmp(m->subject, b->inbox, n) != 0 || strncmp(m->subject + n, ".p.", 3) != 0) {
        on_message(b, m);
        return;
    }
    on_any_status(b, m->subject + n + 3, m);
    bus_msg_delete(m);
}

/* A server that was started anew has forgotten the consumer, and would not say so to a pull. */
void pulls_changed(struct bus *b, bool up) {
    list_each_safe(&b->pulls, it) {
        struct pull *p = container_of(it, struct pull, node);
        drop_all(p); /* the server forgot them with the connection */
        p->unsure = !p->gone;
        p->told = false;
        if (up && p->unsure)
            check(p);
    }
}

/* A stream's message that libnats hides: it cannot be acked, and comes again after each ack_wait.
 * Counted against each, as none may wait for ever for what has been: one too many is asked for
 * then, at most, until a 408 sets the sum right. */
static void on_unseen(void *arg) {
    struct bus *b = arg;
    list_each_safe(&b->pulls, it) {
        struct pull *p = container_of(it, struct pull, node);
        count_down(p, 1);
        top_up(p);
    }
}

/* A subscription of its own, so that it can be switched off alone. */
static void subscribe(struct bus *b) {
    char subject[96];
    if (b->pulling)
        return;
    snprintf(subject, sizeof subject, "%s.p.%x.*", b->inbox, b->pull_round);
    b->pulling = bus_sub_new(b, subject, NULL, on_pulled, b, NULL);
    sub_on_unseen(b->pulling, on_unseen);
}

void pulls_end(struct bus *b) {
    if (b->pulling)
        bus_sub_switch(b->pulling, false);
}

/* Their subscription lives as long as the bus, off: this is for rare occasions. */
void pulls_renew(struct bus *b) {
    if (!b->pulling)
        return;
    bus_sub_switch(b->pulling, false);
    b->pulling = NULL;
    b->pull_round++;
    subscribe(b);
    list_each_safe(&b->pulls, it) {
        struct pull *p = container_of(it, struct pull, node);
        drop_all(p);
        top_up(p);
    }
}

void pulls_orphan(struct bus *b) {
    for (struct list *it; (it = list_pop(&b->pulls));)
        container_of(it, struct pull, node)->b = NULL;
}

/* The owner's side */

struct pull *pull_new(struct bus *b, const char *stream, const char *consumer, pull_msg_cb on_msg,
                      pull_gone_cb on_gone, void *arg) {
    struct pull *p = xcalloc(1, sizeof *p);
    p->b = b;
    p->id = ++b->last_pull;
    p->stream = xstrdup(stream);
    p->consumer = xstrdup(consumer);
    p->subject = xasprintf("$JS.API.CONSUMER.MSG.NEXT.%s.%s", stream, consumer);
    p->on_msg = on_msg;
    p->on_gone = on_gone;
    p->arg = arg;
    list_init(&p->requests);
    list_push(&b->pulls, &p->node);
    subscribe(b);
    return p;
}

void pull_want(struct pull *p, int n) {
    p->want = n > 0 ? n : 0;
    top_up(p);
}

int pull_outstanding(const struct pull *p) {
    return p->outstanding;
}

void pull_resume(struct pull *p) {
    p->gone = false;
    top_up(p);
}

void pull_delete(struct pull *p) {
    if (!p)
        return;
    if (p->b && p->check)
        bus_forget(p->b, p->check);
    drop_all(p);
    list_remove(&p->node);
    free(p->stream);
    free(p->consumer);
    free(p->subject);
    free(p);
}
