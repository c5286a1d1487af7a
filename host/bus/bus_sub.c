/* SPDX-License-Identifier: MIT */
#include "bus/bus_sub.h"
#include "base/log.h"
#include "bus/bus_private.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct bus_sub {
    struct list node; /* in bus.subs */
    struct bus *b;
    natsSubscription *inner; /* NULL until the server was there once */
    char *subject, *group;   /* group: NULL for none */
    bool on;
    bool told; /* what the server was told last; libnats tells it "on" at each reconnect */
    bus_sub_cb cb;
    void (*unseen)(void *arg);
    void *arg;
};

/* libnats drops what was on its way to a subscription it has closed, and that would be requests
 * nobody answers. So only the server is told: the protocol's line stands between two empty messages
 * to a token of the own inbox that nobody waits for; libnats writes a subject as it is. */
static void tell(struct bus_sub *s) {
    struct bus *b = s->b;
    struct buf lines = {0};
    int64_t sid = natsSubscription_GetID(s->inner);
    buf_printf(&lines, "%s.0 0\r\n\r\n", b->inbox);
    if (s->on)
        buf_printf(&lines, "SUB %s %s %" PRId64, s->subject, s->group ? s->group : "", sid);
    else
        buf_printf(&lines, "UNSUB %" PRId64, sid);
    buf_printf(&lines, "\r\nPUB %s.0", b->inbox);
    natsStatus status = natsConnection_Publish(b->nc, lines.p, NULL, 0);
    if (status == NATS_OK)
        s->told = s->on;
    else
        log_error("a subscription could not be switched", LOG_S("subject", s->subject),
                  LOG_S("error", natsStatus_GetText(status)));
    buf_free(&lines);
}

static void subscribe(struct bus_sub *s) {
    natsConnection *nc = s->b->nc;
    natsStatus status = s->group
                            ? natsConnection_QueueSubscribeSync(&s->inner, nc, s->subject, s->group)
                            : natsConnection_SubscribeSync(&s->inner, nc, s->subject);
    if (status == NATS_OK)
        status = natsSubscription_SetPendingLimits(s->inner, -1, -1);
    if (status == NATS_OK)
        s->told = true;
    else
        log_error("cannot subscribe", LOG_S("subject", s->subject),
                  LOG_S("error", natsStatus_GetText(status)));
}

static void apply(struct bus_sub *s) {
    if (!bus_up(s->b)) /* subs_changed comes when it is back */
        return;
    if (!s->inner && s->on)
        subscribe(s);
    else if (s->inner && s->told != s->on)
        tell(s);
}

struct bus_sub *bus_sub_new(struct bus *b, const char *subject, const char *group, bus_sub_cb cb,
                            void *arg, struct err *err) {
    /* as bus_check does for what is published; wildcards are allowed here */
    if (bus_check(b->max_payload, subject, group, NULL, 0, err) < 0)
        return NULL;
    struct bus_sub *s = xcalloc(1, sizeof *s);
    s->b = b;
    s->subject = xstrdup(subject);
    s->group = group ? xstrdup(group) : NULL;
    s->cb = cb;
    s->arg = arg;
    s->on = true;
    list_push(&b->subs, &s->node);
    apply(s);
    return s;
}

const char *bus_sub_subject(const struct bus_sub *s) {
    return s->subject;
}

void bus_sub_switch(struct bus_sub *s, bool on) {
    s->on = on;
    apply(s);
}

void sub_on_unseen(struct bus_sub *s, void (*cb)(void *arg)) {
    s->unseen = cb;
}

/* What libnats has parsed and nobody has taken. Asking NextMsg each time costs ten times as much
 * where there is nothing: it writes an error. */
static bool has_message(const struct bus_sub *s) {
    int n = 0;
    return s->inner && natsSubscription_GetPending(s->inner, &n, NULL) == NATS_OK && n > 0;
}

static void read_one(struct bus_sub *s) {
    while (!s->b->closing && has_message(s)) {
        natsMsg *inner = NULL;
        natsStatus status = natsSubscription_NextMsg(&inner, s->inner, 0);
        if (status == NATS_NO_RESPONDERS) { /* an empty one with a header "Status: 503" */
            if (s->unseen)
                s->unseen(s->arg);
            continue;
        }
        if (status != NATS_OK)
            return;
        s->cb(bus_msg_from(inner), s->arg);
    }
}

void subs_read(struct bus *b) {
    list_each(&b->subs, it) read_one(container_of(it, struct bus_sub, node));
}

void subs_up(struct bus *b) {
    list_each(&b->subs, it) {
        struct bus_sub *s = container_of(it, struct bus_sub, node);
        s->told = s->inner != NULL;
        apply(s);
    }
}

void subs_delete(struct bus *b) {
    for (struct list *it; (it = list_pop(&b->subs));) {
        struct bus_sub *s = container_of(it, struct bus_sub, node);
        natsSubscription_Destroy(s->inner);
        free(s->subject);
        free(s->group);
        free(s);
    }
}
