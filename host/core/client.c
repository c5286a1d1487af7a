/* SPDX-License-Identifier: MIT */
#include "core/client.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/log.h"
#include "bus/bus.h"
#include "core/after.h"
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#define CONNECT_TIMEOUT_MS 5000
#define STORE_TIMEOUT_MS 3000 /* a PubAck takes well below a millisecond */
#define PAUSE_MS 200          /* before the first retry, doubled for each later one */

struct client {
    uv_loop_t *loop;
    struct bus *bus;
    struct client_call *calls; /* hash by number */
    uint64_t last;
};

struct client_call {
    uint64_t number;
    struct client *client;
    enum client_way way;
    char *subject, *id, *body;
    size_t len;
    struct hdrs hdrs;
    int timeout_ms, retries, pause_ms;
    uint64_t deadline_ms;
    struct after *deadline, *pause;
    uint64_t asked;    /* of the bus: the PubAck, or the answer of CLIENT_ASK */
    uint64_t expected; /* of the bus: the answer of CLIENT_STORE */
    char *inbox;       /* where that comes */
    unsigned round;    /* in Nats-Msg-Id: what a stream has must be sent as another message */
    bool sent;         /* it may be stored, or run */
    bool ended;
    struct client_answer answer;
    client_cb cb; /* NULL: nobody waits yet */
    void *arg;
    UT_hash_handle hh;
};

static void attempt(struct client_call *c);

/* ---- the end of a call ---- */

static void stop(struct client_call *c) {
    after_cancel(&c->deadline);
    after_cancel(&c->pause);
    bus_forget(c->client->bus, c->asked);
    bus_forget(c->client->bus, c->expected);
    c->asked = c->expected = 0;
}

static void drop(struct client_call *c) {
    stop(c);
    HASH_DEL(c->client->calls, c);
    free(c->subject);
    free(c->id);
    free(c->body);
    free(c->inbox);
    free((char *)c->answer.body);
    free((char *)c->answer.message);
    hdrs_free(&c->hdrs);
    free(c);
}

static void deliver(struct client_call *c) {
    client_cb cb = c->cb;
    c->cb = NULL;
    cb(&c->answer, c->arg);
    drop(c);
}

static void end(struct client_call *c) {
    stop(c);
    c->ended = true;
    if (c->cb)
        deliver(c);
}

static void end_answered(struct client_call *c, int status, const struct bus_msg *m) {
    c->answer = (struct client_answer){.status = status, .body = xmemdup(m->data, m->len)};
    c->answer.len = m->len;
    end(c);
}

/* Takes message. */
static void set_answer(struct client_call *c, int status, const char *code, char *message) {
    free((char *)c->answer.message);
    c->answer = (struct client_answer){.status = status, .code = code, .message = message};
}

static void end_unanswered(struct client_call *c, int status, const char *code, char *message) {
    set_answer(c, status, code, message);
    end(c);
}

/* It may run, or have run. */
static void end_unknown(struct client_call *c, int status, const char *code, char *message) {
    set_answer(c, status, code, message);
    c->answer.unknown = true;
    end(c);
}

static void end_unavailable(struct client_call *c, const char *why, bool unknown) {
    if (c->way != CLIENT_ASK && unknown)
        end_unknown(c, 503, "UNAVAILABLE",
                    xasprintf("%s; it may run all the same: ask again under its request id %s", why,
                              c->id));
    else
        end_unanswered(c, 503, "UNAVAILABLE", xstrdup(why));
}

static void on_deadline(void *arg) {
    struct client_call *c = arg;
    c->deadline = NULL;
    if (!bus_up(c->client->bus)) {
        char *why =
            xasprintf("NATS is away: no answer from %s within %d ms", c->subject, c->timeout_ms);
        end_unavailable(c, why, c->sent);
        free(why);
    } else if (c->way != CLIENT_ASK) {
        end_unknown(c, 504, "TIMEOUT",
                    xasprintf("no answer from %s within %d ms; the request may still run: ask "
                              "again under its request id %s",
                              c->subject, c->timeout_ms, c->id));
    } else {
        end_unanswered(c, 504, "TIMEOUT",
                       xasprintf("no answer from %s within %d ms", c->subject, c->timeout_ms));
    }
}

/* ---- what comes back ---- */

static int left_ms(const struct client_call *c) {
    uint64_t now = clock_mono_ms();
    return now < c->deadline_ms ? (int)(c->deadline_ms - now) : 1;
}

static void on_paused(void *arg) {
    struct client_call *c = arg;
    c->pause = NULL;
    attempt(c);
}

/* False when the retries are used up, or the time. A late PubAck and an answer may both ask for it.
 */
static bool retry(struct client_call *c) {
    if (c->pause)
        return true;
    if (c->retries <= 0 || left_ms(c) <= c->pause_ms)
        return false;
    bus_forget(c->client->bus, c->asked);
    c->asked = 0;
    c->retries--;
    c->pause = after_ms(c->client->loop, (uint64_t)c->pause_ms, on_paused, c);
    c->pause_ms *= 2;
    return true;
}

static void on_failed(struct client_call *c, const struct err *err) {
    char *why;
    if (err->kind == ERR_BUS_DOWN) /* on_change sends it again */
        return;
    if (err->kind != ERR_SHUTDOWN && retry(c))
        return;
    if (err->kind == ERR_NOBODY)
        why = xasprintf("%s: does a host of this app run, under this subject prefix?", err->msg);
    else
        why = xstrdup(err->msg);
    end_unavailable(c, why, err->kind == ERR_TIMEOUT || err->kind == ERR_SHUTDOWN);
    free(why);
}

static void on_stored(const struct err *err, bool duplicate, void *arg) {
    struct client_call *c = arg;
    c->asked = 0;
    if (err)
        on_failed(c, err);
    else if (c->way == CLIENT_LEAVE)
        end_unanswered(c, CLIENT_STORED, NULL, NULL);
}

static void on_answer(const struct bus_msg *m, const struct err *err, void *arg) {
    struct client_call *c = arg;
    *(c->way == CLIENT_STORE ? &c->expected : &c->asked) = 0;
    if (err && err->kind == ERR_TIMEOUT) /* the deadline says so */
        return;
    if (err) {
        on_failed(c, err);
        return;
    }
    const char *text = hdrs_get(&m->hdrs, "Status-Code");
    int status = text ? atoi(text) : 0;
    if (status < 100 || status > 599)
        end_unanswered(c, 502, "BAD_REPLY",
                       xasprintf("the answer from %s has no Status-Code", c->subject));
    else if (status != 503 || !retry(c))
        end_answered(c, status, m);
}

/* ---- sending ---- */

static void on_refused(void *arg) {
    struct client_call *c = arg;
    c->pause = NULL;
    end(c);
}

/* It can never be sent. From the loop, as its sender does not expect an answer yet. */
static void refuse(struct client_call *c, const struct err *err) {
    set_answer(c, 400, "BAD_REQUEST", xstrdup(err->msg));
    c->pause = after_ms(c->client->loop, 0, on_refused, c);
}

/* Where the answer of a stored request is to go, and as which message it is stored: one of its own,
 * however often its request id was used before. */
static void set_reply(struct client_call *c) {
    char own[ID_TEXT];
    if (c->way == CLIENT_LEAVE) {
        if (!hdrs_get(&c->hdrs, "Nats-Msg-Id")) {
            id_v7(own);
            hdrs_set(&c->hdrs, "Nats-Msg-Id", own);
        }
        return;
    }
    if (!c->expected) {
        struct buf inbox = {0};
        c->expected = bus_expect(c->client->bus, left_ms(c), on_answer, c, &inbox);
        free(c->inbox);
        c->inbox = buf_steal(&inbox);
    }
    char *msg_id = xasprintf("%s.%u", c->inbox, c->round);
    hdrs_set(&c->hdrs, "Reply-To", c->inbox);
    hdrs_set(&c->hdrs, "Nats-Msg-Id", msg_id);
    free(msg_id);
}

static void attempt(struct client_call *c) {
    struct bus *b = c->client->bus;
    struct err err;
    bus_forget(b, c->asked);
    if (c->way != CLIENT_ASK) {
        int ms = left_ms(c);
        set_reply(c);
        c->asked = bus_store(b, c->subject, &c->hdrs, c->body, c->len,
                             ms < STORE_TIMEOUT_MS ? ms : STORE_TIMEOUT_MS, on_stored, c, &err);
    } else {
        c->asked =
            bus_request(b, c->subject, &c->hdrs, c->body, c->len, left_ms(c), on_answer, c, &err);
    }
    if (c->asked)
        c->sent = true;
    else if (err.kind != ERR_BUS_DOWN) /* else on_change sends it */
        refuse(c, &err);
}

/* Answers may be lost with the connection: all is asked again, as messages the stream has not seen.
 */
static void on_change(bool up, void *arg) {
    struct client *client = arg;
    struct client_call *c, *next;
    if (up)
        log_info("NATS is back");
    else
        log_warn("NATS is away; waiting");
    HASH_ITER(hh, client->calls, c, next) {
        if (!up || c->ended)
            continue;
        c->round++;
        after_cancel(&c->pause);
        attempt(c);
    }
}

/* ---- from outside ---- */

struct client *client_new(uv_loop_t *loop, const struct config *cfg, const char *name,
                          struct err *err) {
    struct client *c = xcalloc(1, sizeof *c);
    struct bus_options o = bus_options_of(cfg);
    o.name = name;
    o.connect_timeout_ms = CONNECT_TIMEOUT_MS;
    o.tell_nobody = true;
    o.on_change = on_change;
    o.arg = c;
    c->loop = loop;
    c->bus = bus_new(loop, &o, err);
    if (c->bus)
        return c;
    free(c);
    return NULL;
}

void client_delete(struct client *client) {
    struct client_call *c, *next;
    if (!client)
        return;
    HASH_ITER(hh, client->calls, c, next)
    drop(c);
    bus_delete(client->bus);
    free(client);
}

static void copy_headers(struct client_call *c, const struct client_request *r) {
    for (size_t i = 0; r->hdrs && i < r->hdrs->n; i++)
        hdrs_add(&c->hdrs, r->hdrs->v[i].name, r->hdrs->v[i].value);
    hdrs_set(&c->hdrs, "RBF-Request-Id", r->id);
}

uint64_t client_send(struct client *client, const struct client_request *r) {
    struct client_call *c = xcalloc(1, sizeof *c);
    c->number = ++client->last;
    c->client = client;
    c->way = r->way;
    c->subject = xstrdup(r->subject);
    c->id = xstrdup(r->id);
    c->body = xmemdup(r->body, r->len);
    c->len = r->len;
    c->timeout_ms = r->timeout_ms;
    c->retries = r->retries;
    c->pause_ms = PAUSE_MS;
    c->deadline_ms = clock_mono_ms() + (uint64_t)r->timeout_ms;
    c->deadline = after_ms(client->loop, (uint64_t)r->timeout_ms, on_deadline, c);
    copy_headers(c, r);
    HASH_ADD(hh, client->calls, number, sizeof c->number, c);
    attempt(c);
    return c->number;
}

static struct client_call *find(struct client *client, uint64_t number) {
    struct client_call *c;
    HASH_FIND(hh, client->calls, &number, sizeof number, c);
    return c;
}

void client_wait(struct client *client, uint64_t number, client_cb cb, void *arg) {
    struct client_call *c = find(client, number);
    if (!c) {
        struct client_answer gone = {
            .status = 500, .code = "INTERNAL_SERVER_ERROR", .message = "no such call"};
        cb(&gone, arg);
        return;
    }
    c->cb = cb;
    c->arg = arg;
    if (c->ended)
        deliver(c);
}

void client_forget(struct client *client, uint64_t number) {
    struct client_call *c = find(client, number);
    if (c)
        drop(c);
}
