/* SPDX-License-Identifier: MIT */
#include "bus/bus_private.h"
#include "bus/bus_tls.h"
#include <string.h>

/* What comes in */

static void dispatch(struct bus *b, struct bus_msg *m) {
    const char *token = m->subject + b->inbox_len + 1;
    if (!strcmp(token, PROBE_TOKEN))
        probes_back(&b->probes);
    else
        waits_answer(&b->waits, strtoull(token, NULL, 16), m); /* late ones are nobody's */
    bus_msg_delete(m);
}

static void on_read(void *arg) {
    struct bus *b = arg;
    /* before the inbox: an echo there says that everything before it has been handed over */
    subs_read(b);
    while (!b->closing) {
        natsMsg *inner = NULL;
        natsStatus s = natsSubscription_NextMsg(&inner, b->sub, 0);
        if (s == NATS_NO_RESPONDERS) {
            /* An empty message with a header "Status: 503": nobody is there to reply. Where that
             * is not told, the request's deadline says so. */
            if (b->tell_nobody)
                waits_nobody(&b->waits, probes_nobody(&b->probes));
            continue;
        }
        if (s != NATS_OK)
            return;
        dispatch(b, bus_msg_from(inner));
    }
}

static void on_link(bool up, void *arg) {
    struct bus *b = arg;
    b->up = up;
    probes_clear(&b->probes);
    if (up)
        b->max_payload = (size_t)natsConnection_GetMaxPayload(b->nc);
    else
        waits_fail_down(&b->waits);
    if (!b->closing && up)
        subs_up(b);
    if (!b->closing)
        pulls_changed(b, up);
    if (!b->closing && b->on_change)
        b->on_change(up, b->arg);
}

static void on_link_closed(void *arg) {
    struct bus *b = arg;
    if (!b->on_closed)
        return;
    const char *text = NULL;
    natsConnection_GetLastError(b->nc, &text);
    struct err err;
    err_set(&err, ERR_BUS_DOWN, "nats-server closed the connection for good (%s): start again",
            text && text[0] ? text : "no reason given");
    b->on_closed(&err, b->arg);
}

static void on_tick(uv_timer_t *t) {
    struct bus *b = t->data;
    pulls_tick(b);
}

/* Life */

static void on_handle_closed(uv_handle_t *h) {
    struct bus *b = h->data;
    if (--b->open_handles == 0)
        free(b);
}

static void close_handle(struct bus *b, uv_timer_t *t) {
    t->data = b;
    uv_close((uv_handle_t *)t, on_handle_closed);
}

static void close_connection(struct bus *b) {
    if (b->nc) {
        bus_adapter_flush(b->link, 100);
        natsConnection_Close(b->nc);
    }
    subs_delete(b);
    natsSubscription_Destroy(b->sub);
    natsConnection_Destroy(b->nc);
    bus_adapter_delete(b->link);
}

static int open_handles(struct bus *b, struct err *err) {
    if (bus_adapter_start(b->link, err) < 0)
        return -1;
    waits_init(&b->waits, b->loop);
    uv_timer_init(b->loop, &b->tick);
    b->tick.data = b;
    uv_timer_start(&b->tick, on_tick, 1000, 1000);
    uv_unref((uv_handle_t *)&b->tick);
    b->open_handles = 2;
    return 0;
}

static struct bus *create(uv_loop_t *loop, const struct bus_options *o) {
    struct bus *b = xcalloc(1, sizeof *b);
    b->loop = loop;
    b->on_change = o->on_change;
    b->on_closed = o->on_closed;
    b->arg = o->arg;
    b->tell_nobody = o->tell_nobody;
    list_init(&b->pulls);
    list_init(&b->subs);
    const struct bus_adapter_owner owner = {on_read, on_link, on_link_closed, b};
    b->link = bus_adapter_new(loop, &owner);
    return b;
}

/* b, connected or not; NULL when it is of no use. */
static struct bus *take_up(struct bus *b, bool connected, struct err *err) {
    if (!connected || open_handles(b, err) < 0) {
        close_connection(b);
        free(b);
        return NULL;
    }
    b->up = true;
    return b;
}

struct bus *bus_new(uv_loop_t *loop, const struct bus_options *o, struct err *err) {
    struct bus *b = create(loop, o);
    return take_up(b, bus_connect(b, o, err) == 0, err);
}

/* One on its way; its thread is told by libnats what another one is told of a reconnect. */
struct opening {
    uv_work_t work;
    struct bus *b;
    struct bus_options o;
    bool connected;
    struct err err;
    bus_open_cb cb;
    void *arg;
};

static void connect_there(uv_work_t *work) { /* on a thread of the pool */
    struct opening *p = work->data;
    p->connected = bus_connect(p->b, &p->o, &p->err) == 0;
}

static void on_connected(uv_work_t *work, int status) {
    struct opening *p = work->data;
    struct bus *b = take_up(p->b, p->connected, &p->err);
    p->cb(b, b ? NULL : &p->err, p->arg);
    free(p);
}

void bus_open(uv_loop_t *loop, const struct bus_options *o, bus_open_cb cb, void *arg) {
    struct opening *p = xcalloc(1, sizeof *p);
    *p = (struct opening){.b = create(loop, o), .o = *o, .cb = cb, .arg = arg};
    p->work.data = p;
    bus_tls_prepare();
    uv_queue_work(loop, &p->work, connect_there, on_connected);
}

void bus_delete(struct bus *b) {
    if (!b || b->closing)
        return;
    b->closing = true;
    waits_shutdown(&b->waits);
    pulls_orphan(b);
    probes_clear(&b->probes);
    close_connection(b);
    close_handle(b, &b->waits.timer);
    close_handle(b, &b->tick);
}

bool bus_up(const struct bus *b) {
    return b->up && !b->closing && bus_adapter_up(b->link);
}

const char *bus_inbox(const struct bus *b) {
    return b->inbox;
}

size_t bus_max_payload(const struct bus *b) {
    return b->max_payload;
}

void bus_reconnect(struct bus *b) {
    bus_adapter_break(b->link);
}

/* What goes out */

static int publish_with_headers(struct bus *b, const char *subject, const char *reply,
                                const struct hdrs *h, const void *data, size_t len) {
    natsMsg *m = NULL;
    natsStatus s = natsMsg_Create(&m, subject, reply, data, (int)len);
    for (size_t i = 0; s == NATS_OK && i < h->n; i++)
        s = natsMsgHeader_Add(m, h->v[i].name, h->v[i].value); /* keeps the name's case */
    if (s == NATS_OK)
        s = natsConnection_PublishMsg(b->nc, m);
    bus_msg_free_inner(m);
    return s;
}

int bus_publish(struct bus *b, const char *subject, const char *reply, const struct hdrs *h,
                const void *data, size_t len, struct err *err) {
    if (b->closing)
        return err_set(err, ERR_SHUTDOWN, "the connection to NATS is being closed");
    if (bus_check(b->max_payload, subject, reply, h, len, err) < 0)
        return -1;
    if (!bus_up(b))
        return err_set(err, ERR_BUS_DOWN, "no connection to NATS now");
    natsStatus s;
    if (h && h->n > 0)
        s = publish_with_headers(b, subject, reply, h, data, len);
    else if (reply)
        s = natsConnection_PublishRequest(b->nc, subject, reply, data, (int)len);
    else
        s = natsConnection_Publish(b->nc, subject, data, (int)len);
    if (s != NATS_OK)
        return err_set(err, s == NATS_CONNECTION_CLOSED ? ERR_BUS_DOWN : ERR_BUS,
                       "cannot publish to '%.200s': %s", subject, natsStatus_GetText(s));
    return 0;
}

void bus_ack(struct bus *b, const char *reply, const char *word) {
    if (reply && bus_up(b))
        natsConnection_Publish(b->nc, reply, word, (int)strlen(word));
}

/* What is waited for */

static void put_token(const struct bus *b, const char *token, char out[96]) {
    snprintf(out, 96, "%s.%s", b->inbox, token);
}

static void put_inbox(const struct bus *b, uint64_t id, char out[96]) {
    snprintf(out, 96, "%s.%llx", b->inbox, (unsigned long long)id);
}

/* One that cannot be sent: the connection breaks, and what waits is told so. */
static void send_probe(struct bus *b, uint64_t id) {
    char inbox[96];
    put_token(b, PROBE_TOKEN, inbox);
    if (bus_publish(b, inbox, NULL, NULL, "", 0, NULL) == 0)
        probes_sent(&b->probes, id);
}

static uint64_t send_waiting(struct bus *b, const struct hdrs *h, const void *data, size_t len,
                             const struct wait_spec *spec, const char *subject, struct err *err) {
    if (b->closing) {
        err_set(err, ERR_SHUTDOWN, "the connection to NATS is being closed");
        return 0;
    }
    char inbox[96];
    uint64_t id = waits_add(&b->waits, spec);
    put_inbox(b, id, inbox);
    bool echo = subject == NULL;
    if (bus_publish(b, echo ? inbox : subject, echo ? NULL : inbox, h, data, len, err) < 0) {
        waits_forget(&b->waits, id);
        return 0;
    }
    if (b->tell_nobody && !echo)
        send_probe(b, id);
    return id;
}

uint64_t bus_request(struct bus *b, const char *subject, const struct hdrs *h, const void *data,
                     size_t len, int timeout_ms, bus_cb cb, void *arg, struct err *err) {
    const struct wait_spec spec = {
        .subject = subject, .timeout_ms = timeout_ms, .reply = cb, .arg = arg};
    return send_waiting(b, h, data, len, &spec, subject, err);
}

uint64_t bus_store(struct bus *b, const char *subject, const struct hdrs *h, const void *data,
                   size_t len, int timeout_ms, bus_puback_cb cb, void *arg, struct err *err) {
    const struct wait_spec spec = {
        .subject = subject, .timeout_ms = timeout_ms, .puback = cb, .arg = arg};
    return send_waiting(b, h, data, len, &spec, subject, err);
}

uint64_t bus_echo(struct bus *b, int timeout_ms, bus_cb cb, void *arg, struct err *err) {
    const struct wait_spec spec = {
        .subject = "an echo", .timeout_ms = timeout_ms, .reply = cb, .arg = arg};
    return send_waiting(b, NULL, "", 0, &spec, NULL, err);
}

uint64_t bus_expect(struct bus *b, int timeout_ms, bus_cb cb, void *arg, struct buf *subject) {
    const struct wait_spec spec = {
        .timeout_ms = timeout_ms, .survives_down = true, .reply = cb, .arg = arg};
    char inbox[96];
    uint64_t id = waits_add(&b->waits, &spec);
    put_inbox(b, id, inbox);
    buf_puts(subject, inbox);
    return id;
}

uint64_t bus_later(struct bus *b, int ms, bus_cb cb, void *arg) {
    const struct wait_spec spec = {
        .timeout_ms = ms, .survives_down = true, .reply = cb, .arg = arg};
    return waits_add(&b->waits, &spec);
}

void bus_forget(struct bus *b, uint64_t request) {
    waits_forget(&b->waits, request);
}
