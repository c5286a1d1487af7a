/* SPDX-License-Identifier: MIT */
#include "core/outbox.h"
#include "base/clock.h"
#include "base/failpoint.h"
#include "base/id.h"
#include "base/jsonval.h"
#include "base/log.h"
#include "core/after.h"
#include "core/cache_row.h"
#include "core/sweeper.h"
#include "pg/pgarray.h"
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define STORE_TIMEOUT_MS 5000
/* A delete is its own commit, so published rows are gathered for a moment. */
#define DELETE_LINGER_MS 10

struct outbox {
    struct host *h;
    int publishing;    /* waiting for a PubAck */
    struct buf stored; /* ids to be deleted, an array literal without its end */
    struct after *linger;
    bool deleting;
    struct pgpool_waiter waiter;
};

/* One published row on its way. */
struct sent {
    struct outbox *o;
    char id[ID_TEXT];
};

/* How a raw payload and the wish for a PubAck travel in a row; taken out before publishing. */
#define H_RAW "RBF-Payload-Base64"
#define H_STREAM "RBF-Publish-Stream"

struct outbox *outbox_new(struct host *h) {
    struct outbox *o = xcalloc(1, sizeof *o);
    o->h = h;
    return o;
}

bool outbox_idle(const struct outbox *o) {
    return !o->publishing && !o->deleting && !o->stored.len;
}

void outbox_delete(struct outbox *o) {
    if (!o)
        return;
    after_cancel(&o->linger);
    buf_free(&o->stored);
    free(o);
}

/* --- rows from effects --- */

static void full_path(const struct host *h, const struct effect *e, struct buf *out) {
    buf_reset(out);
    if (e->type == EFFECT_REQUEST)
        buf_puts(out, h->cfg->subject_prefix);
    buf_puts(out, e->subject);
}

static void add_headers(struct hdrs *h, const struct task *t, const struct effect *e) {
    const char *trace = t->env.traceparent;
    if (e->headers)
        (void)!hdrs_from_json(h, e->headers, strlen(e->headers), NULL); /* made by the encoder */
    if (e->type == EFFECT_REQUEST)
        hdrs_set(h, "RBF-Request-Id", e->request_id ? e->request_id : e->id);
    if (e->type == EFFECT_REQUEST && trace && hdrs_valid("traceparent", trace) &&
        !hdrs_get(h, "traceparent"))
        hdrs_add(h, "traceparent", trace);
    if (e->raw)
        hdrs_set(h, H_RAW, "1");
    if (e->stream)
        hdrs_set(h, H_STREAM, "1");
}

static void row_headers(const struct task *t, const struct effect *e, struct buf *out) {
    struct hdrs h = {0};
    add_headers(&h, t, e);
    buf_reset(out);
    hdrs_to_json(&h, out);
    hdrs_free(&h);
}

static void row_data(const struct effect *e, struct buf *out) {
    buf_reset(out);
    if (!e->raw) {
        buf_puts(out, e->data ? e->data : "null");
        return;
    }
    char *text = xmalloc(4 * (e->raw_len / 3 + 1) + 1);
    int n = EVP_EncodeBlock((unsigned char *)text, (const unsigned char *)e->raw, (int)e->raw_len);
    buf_putc(out, '"');
    buf_put(out, text, (size_t)n);
    buf_putc(out, '"');
    free(text);
}

enum { COL_ID, COL_TYPE, COL_PATH, COL_DATA, COL_HEADERS, COL_TARGET, COLS };

/* The columns of one row as texts; target empty: none. */
static void fill_row(struct buf *cols, const struct task *t, const struct effect *e) {
    buf_reset(&cols[COL_ID]);
    buf_puts(&cols[COL_ID], e->id);
    buf_reset(&cols[COL_TYPE]);
    buf_puts(&cols[COL_TYPE], e->type == EFFECT_REQUEST ? "request" : "message");
    full_path(t->h, e, &cols[COL_PATH]);
    row_data(e, &cols[COL_DATA]);
    row_headers(t, e, &cols[COL_HEADERS]);
    buf_reset(&cols[COL_TARGET]);
    if (e->target_at)
        buf_printf(&cols[COL_TARGET], "%" PRId64, e->target_at);
}

static const char *text_of(const struct buf *col) {
    return col->len ? col->p : NULL;
}

/* A pending id is enqueued once: the second is a no-op, and RETURNING does not name it. */
#define INSERT_ROWS                                                                                \
    "INSERT INTO rbf_outbox (namespace, source_request_id, id, type, path, data, headers,"         \
    " target_at) "
#define ONCE " ON CONFLICT (namespace, id) DO NOTHING RETURNING id"

/* Planned once, unlike the form with arrays (results.c says why). */
static void insert_one(struct pgconn *c, const struct task *t, const struct effect *e) {
    struct buf row[COLS] = {0};
    fill_row(row, t, e);
    pgconn_add(c, INSERT_ROWS "VALUES ($1, $2, $3, $4, $5, $6, $7, $8)" ONCE, 8,
               (const char *const[]){t->h->cfg->namespace_, t->env.id, row[0].p, row[1].p, row[2].p,
                                     row[3].p, row[4].p, text_of(&row[COL_TARGET])},
               0);
    for (int i = 0; i < COLS; i++)
        buf_free(&row[i]);
}

/* row: scratch. */
static void add_rows(struct buf *cols, struct buf *sources, const struct task *t, struct buf *row) {
    list_each(&t->run.call->effects, it) {
        fill_row(row, t, container_of(it, struct effect, node));
        for (int i = 0; i < COLS; i++)
            pgarray_add(&cols[i], text_of(&row[i]));
        pgarray_add(sources, t->env.id);
    }
}

static void insert_many(struct pgconn *c, const struct list *ran) {
    struct buf cols[COLS + 1] = {0}, *sources = &cols[COLS], row[COLS] = {0};
    const struct host *h = container_of(ran->next, struct task, member)->h;
    for (int i = 0; i <= COLS; i++)
        pgarray_open(&cols[i]);
    list_each(ran, it) add_rows(cols, sources, container_of(it, struct task, member), row);
    for (int i = 0; i <= COLS; i++)
        pgarray_close(&cols[i]);
    pgconn_add(c,
               INSERT_ROWS
               "SELECT $1, u.source, u.id, u.type, u.path, u.data::jsonb, u.headers::jsonb,"
               " u.target_at FROM unnest($2::text[], $3::uuid[], $4::text[], $5::text[],"
               " $6::text[], $7::text[], $8::bigint[])"
               " u(source, id, type, path, data, headers, target_at)" ONCE,
               8,
               (const char *const[]){h->cfg->namespace_, sources->p, cols[0].p, cols[1].p,
                                     cols[2].p, cols[3].p, cols[4].p, cols[5].p},
               0);
    for (int i = 0; i <= COLS; i++)
        buf_free(&cols[i]);
    for (int i = 0; i < COLS; i++)
        buf_free(&row[i]);
}

void outbox_add_inserts(struct pgconn *c, const struct list *ran) {
    const struct task *owner = NULL;
    int n = 0;
    list_each(ran, it) {
        const struct task *t = container_of(it, struct task, member);
        list_each(&t->run.call->effects, at) {
            n++;
            owner = t;
        }
    }
    if (n == 1)
        insert_one(c, owner, container_of(owner->run.call->effects.next, struct effect, node));
    else if (n > 1)
        insert_many(c, ran);
}

/* What the sender told its own server (an id, an expected sequence) is not for the next one. */
static bool may_travel(const struct hdr *h) {
    return strncasecmp(h->name, "Nats-", 5) != 0 && hdrs_valid(h->name, h->value);
}

void outbox_add_park(struct pgconn *c, const struct task *t, int64_t target_at, int attempt) {
    struct buf name = {0}, headers = {0};
    struct hdrs h = {0};
    char id[ID_TEXT], number[24], at[24];
    for (size_t i = 0; i < t->msg->hdrs.n; i++)
        if (may_travel(&t->msg->hdrs.v[i]))
            hdrs_add(&h, t->msg->hdrs.v[i].name, t->msg->hdrs.v[i].value);
    hdrs_drop(&h, "Target-At");
    hdrs_drop(&h, H_RAW); /* ours alone, whoever sent them */
    hdrs_drop(&h, H_STREAM);
    hdrs_set(&h, "RBF-Request-Id", t->env.id);
    snprintf(number, sizeof number, "%d", attempt);
    hdrs_set(&h, "RBF-Attempt", number);
    if (!hdrs_get(&h, "RBF-First-Seen")) {
        snprintf(at, sizeof at, "%" PRIu64, t->ack.ts_ns / 1000000);
        hdrs_set(&h, "RBF-First-Seen", at);
    }
    hdrs_to_json(&h, &headers);
    task_message_name(t, &name); /* a redelivery parks the same row */
    id_v5(name.p, name.len, id);
    snprintf(at, sizeof at, "%" PRId64, target_at);
    struct buf data = {0}; /* written anew, so that jsonb gives back what can be read again */
    jsonval_write(&data, t->input);
    pgconn_add(
        c,
        "INSERT INTO rbf_outbox (namespace, id, source_request_id, type, path, data, headers,"
        " target_at) VALUES ($1, $2, $3, 'request', $4, $5, $6, $7)"
        " ON CONFLICT (namespace, id) DO NOTHING",
        7,
        (const char *const[]){t->h->cfg->namespace_, id, t->env.id, t->path, data.p, headers.p, at},
        0);
    buf_free(&data);
    buf_free(&name);
    buf_free(&headers);
    hdrs_free(&h);
}

const struct effect *outbox_too_large(const struct host *h, const struct list *effects) {
    list_each(effects, it) {
        const struct effect *e = container_of(it, struct effect, node);
        size_t n = (e->raw    ? e->raw_len
                    : e->data ? strlen(e->data)
                              : 4) +
                   (e->headers ? strlen(e->headers) : 0) + 1024;
        if (n > bus_max_payload(h->bus))
            return e;
    }
    return NULL;
}

/* --- publishing --- */

/* A raw payload is base64 inside a JSON string. */
static char *decode_raw(const char *data, size_t *len) {
    size_t n = strlen(data);
    char *bytes = xmalloc(n + 1);
    int got = n < 2 ? 0
                    : EVP_DecodeBlock((unsigned char *)bytes, (const unsigned char *)data + 1,
                                      (int)n - 2);
    while (got > 0 && n > 2 && data[n - 2] == '=') /* DecodeBlock counts the padding */
        got--, n--;
    *len = got > 0 ? (size_t)got : 0;
    return bytes;
}

/* jsonb's text has spaces: without them it is no longer than what was checked before COMMIT. */
static char *compact(const char *data, size_t *len) {
    struct buf out = {0};
    json_t *v = jsonval_read(data, strlen(data), NULL);
    if (v)
        jsonval_write(&out, v);
    else
        buf_puts(&out, data);
    json_decref(v);
    *len = out.len;
    return buf_steal(&out);
}

/* own: to be freed; NULL where the row's data go as they are. */
static const char *payload(const struct outbox_row *row, bool raw, char **own, size_t *len) {
    const char *data = row->data ? row->data : "null";
    *own = raw ? decode_raw(data, len) : row->spaced ? compact(data, len) : NULL;
    if (*own)
        return *own;
    *len = strlen(data);
    return data;
}

struct echo {
    bus_puback_cb cb;
    void *arg;
};

static void on_echo(const struct bus_msg *msg, const struct err *err, void *arg) {
    struct echo *e = arg;
    e->cb(err, false, e->arg);
    free(e);
}

int outbox_send_plain(struct bus *b, const char *subject, const struct hdrs *hd, const char *data,
                      size_t len, int timeout_ms, bus_puback_cb cb, void *arg, struct err *err) {
    if (bus_publish(b, subject, NULL, hd, data, len, err))
        return -1;
    struct echo *e = xcalloc(1, sizeof *e);
    e->cb = cb;
    e->arg = arg;
    if (bus_echo(b, timeout_ms, on_echo, e, err))
        return 0;
    free(e);
    return -1;
}

/* hd: the row's headers; they become the message's. */
static int send_row(struct host *h, const struct outbox_row *row, struct hdrs *hd, int timeout_ms,
                    bus_puback_cb cb, void *arg, struct err *err) {
    size_t len;
    int rc = -1;
    bool raw = hdrs_get(hd, H_RAW), stream = hdrs_get(hd, H_STREAM);
    bool request = !strcmp(row->type, "request");
    hdrs_drop(hd, H_RAW);
    hdrs_drop(hd, H_STREAM);
    if (request && !hdrs_get(hd, "RBF-Request-Id") && !hdrs_get(hd, "Request-Id"))
        hdrs_add(hd, "RBF-Request-Id", row->id);
    hdrs_set(hd, "Nats-Msg-Id", row->id);
    char *own;
    const char *data = payload(row, raw, &own, &len);
    if (request || stream)
        rc = bus_store(h->bus, row->path, hd, data, len, timeout_ms, cb, arg, err) ? 0 : -1;
    else if (cache_row_is(h, row->path))
        rc = cache_row_send(h, hd, data, len, timeout_ms, cb, arg, err);
    else
        rc = outbox_send_plain(h->bus, row->path, hd, data, len, timeout_ms, cb, arg, err);
    if (rc == 0 && request)
        log_debug("publishing", LOG_S("request_id", hdrs_get(hd, "RBF-Request-Id")),
                  LOG_S("source_request_id", row->source), LOG_S("job", row->id),
                  LOG_S("subject", row->path));
    free(own);
    return rc;
}

int outbox_send(struct host *h, const struct outbox_row *row, int timeout_ms, bus_puback_cb cb,
                void *arg, struct err *err) {
    struct hdrs hd = {0};
    int rc = -1;
    if (!row->headers || !hdrs_from_json(&hd, row->headers, strlen(row->headers), err))
        rc = send_row(h, row, &hd, timeout_ms, cb, arg, err);
    hdrs_free(&hd);
    return rc;
}

static void delete_stored(struct outbox *o);

static void on_linger(void *arg) {
    struct outbox *o = arg;
    o->linger = NULL;
    delete_stored(o);
}

static void note_stored(struct outbox *o, const char *id) {
    if (!o->stored.len)
        pgarray_open(&o->stored);
    pgarray_add(&o->stored, id);
    if (!o->deleting && !o->linger)
        o->linger = after_ms(o->h->loop, DELETE_LINGER_MS, on_linger, o);
}

static void on_stored(const struct err *err, bool duplicate, void *arg) {
    struct sent *s = arg;
    s->o->publishing--;
    if (!err && !FAILPOINT("outbox.stored")) {
        s->o->h->stats.published++;
        note_stored(s->o, s->id);
    } /* else: the row is still there, and the sweeper's */
    free(s);
}

static void publish_one(struct outbox *o, const struct task *t, const struct effect *e) {
    struct buf path = {0}, data = {0};
    struct hdrs headers = {0};
    struct sent *s = xcalloc(1, sizeof *s);
    struct err err;
    s->o = o;
    memcpy(s->id, e->id, sizeof s->id);
    full_path(o->h, e, &path);
    add_headers(&headers, t, e);
    if (e->raw)
        row_data(e, &data);
    struct outbox_row row = {.id = e->id,
                             .type = e->type == EFFECT_REQUEST ? "request" : "message",
                             .path = path.p,
                             .data = e->raw ? data.p : e->data,
                             .source = t->env.id};
    if (FAILPOINT("outbox.before_publish") ||
        send_row(o->h, &row, &headers, STORE_TIMEOUT_MS, on_stored, s, &err))
        free(s);
    else
        o->publishing++;
    (void)FAILPOINT("outbox.published");
    buf_free(&path);
    buf_free(&data);
    hdrs_free(&headers);
}

void outbox_publish(const struct task *t, const struct pgres *inserted, int *row) {
    struct host *h = t->h;
    int64_t now = clock_db_ms();
    list_each(&t->run.call->effects, it) {
        const struct effect *e = container_of(it, struct effect, node);
        /* one whose id was pending already has no row of its own: that job stays as it is */
        if (*row == pgres_rows(inserted) || strcmp(pgres_value(inserted, *row, 0, NULL), e->id))
            continue;
        ++*row;
        if (e->target_at > now)
            sweeper_arm(h->sweeper, e->target_at);
        else
            publish_one(h->outbox, t, e);
    }
}

/* --- deleting --- */

static void on_deleted(struct pgconn *c, const struct pgflight *f, void *arg) {
    struct outbox *o = arg;
    o->deleting = false;
    if (!f->lost && pgres_err(f->res[f->n - 2]))
        log_error("outbox rows not deleted; the sweeper will publish them again",
                  LOG_S("error", pgres_err(f->res[f->n - 2])->msg));
    pgpool_release(o->h->pool, c);
    if (o->stored.len && !o->linger)
        delete_stored(o);
}

static void on_conn(struct pgconn *c, const struct err *err, void *arg) {
    struct outbox *o = arg;
    if (!c) {
        o->deleting = false;
        buf_reset(&o->stored);
        return;
    }
    (void)FAILPOINT("outbox.before_delete");
    pgarray_close(&o->stored);
    /* A delete that a crash of the server undoes means one more publication, which dedup answers:
     * not worth waiting for the disk. */
    pgconn_add(c, "BEGIN ISOLATION LEVEL READ COMMITTED", 0, NULL, 0);
    pgconn_add(c, "SET LOCAL synchronous_commit = off", 0, NULL, 0);
    pgconn_add(
        c,
        "DELETE FROM rbf_outbox WHERE ctid = ANY (ARRAY(SELECT o.ctid FROM unnest($2::uuid[])"
        " u(id) CROSS JOIN LATERAL (SELECT ctid FROM rbf_outbox WHERE namespace = $1 AND"
        " id = u.id LIMIT 1) o))",
        2, (const char *const[]){o->h->cfg->namespace_, o->stored.p}, 0);
    pgconn_add(c, "COMMIT", 0, NULL, 0);
    pgconn_sync(c);
    buf_reset(&o->stored);
    pgconn_send(c, on_deleted, o);
}

static void delete_stored(struct outbox *o) {
    if (o->deleting)
        return;
    o->deleting = true;
    pgpool_acquire(o->h->pool, &o->waiter, 0, on_conn, o);
}
