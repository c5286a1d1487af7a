/* SPDX-License-Identifier: MIT */
#include "core/results.h"
#include "base/buf.h"
#include "base/clock.h"
#include "pg/pgarray.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The result of a younger one is not purged yet, as retentions are longer (where this host's is
 * not, half of it counts). The others' lookup costs more: a backlog of hours pays it, not of
 * minutes. */
#define YOUNG_MS 3600000

static bool any_old(const struct host *h, const struct list *members) {
    int64_t young = YOUNG_MS, retention = h->cfg->results_retention_ms;
    if (retention && retention / 2 < young)
        young = retention / 2;
    int64_t since = clock_db_ms() - young;
    list_each(members, it) {
        const struct task *t = container_of(it, struct task, member);
        if (t->q && t->req.timestamp <= since)
            return true;
    }
    return false;
}

/* By the key alone: PostgreSQL plans this once. (An array's length makes it plan anew each time:
 * 16 against 44 us a lookup.) */
static void add_lookup_of_one(struct pgconn *c, const struct host *h, const struct task *t) {
    pgconn_add(c,
               "SELECT 1, status, data, requested_path, requested_input FROM rbf_results"
               " WHERE namespace = $1 AND request_id = $2",
               2, (const char *const[]){h->cfg->namespace_, t->env.id}, 0);
}

/* The horizon of a message (purge.h). */
#define BEYOND(stream, seq, ms)                                                                    \
    "EXISTS (SELECT FROM rbf_horizons h WHERE h.namespace = $1 AND h.stream = " stream             \
    " AND h.first_seq > " seq " AND h.stored_before > " ms ")"

static void add_lookup_of_old_one(struct pgconn *c, const struct host *h, const struct task *t) {
    char seq[24], ms[24];
    snprintf(seq, sizeof seq, "%" PRIu64, t->ack.stream_seq);
    snprintf(ms, sizeof ms, "%" PRId64, t->req.timestamp);
    pgconn_add(c,
               "SELECT 1, r.status, r.data, r.requested_path, r.requested_input FROM (SELECT) t"
               " LEFT JOIN rbf_results r ON r.namespace = $1 AND r.request_id = $2"
               " WHERE r.request_id IS NOT NULL OR " BEYOND("$3", "$4::bigint", "$5::bigint"),
               5, (const char *const[]){h->cfg->namespace_, t->env.id, t->ack.stream, seq, ms}, 0);
}

/* The lateral form keeps the key's index whatever the table's statistics say; "= ANY" became a scan
 * of the namespace as the table grew. */
#define RESULT_OF                                                                                  \
    "LATERAL (SELECT * FROM rbf_results WHERE namespace = $1 AND request_id = u.id LIMIT 1) r"

enum { KEY_ID, KEY_STREAM, KEY_SEQ, KEY_MS, KEYS };

static void add_lookup_of_several(struct pgconn *c, const struct host *h,
                                  const struct list *members, bool old) {
    struct buf keys[KEYS] = {0};
    for (int i = 0; i < KEYS; i++)
        pgarray_open(&keys[i]);
    list_each(members, it) {
        const struct task *t = container_of(it, struct task, member);
        pgarray_add(&keys[KEY_ID], t->env.id);
        if (!old)
            continue;
        pgarray_add(&keys[KEY_STREAM], t->ack.stream);
        pgarray_add_int(&keys[KEY_SEQ], (int64_t)t->ack.stream_seq);
        pgarray_add_int(&keys[KEY_MS], t->req.timestamp);
    }
    for (int i = 0; i < KEYS; i++)
        pgarray_close(&keys[i]);
    const char *const params[] = {h->cfg->namespace_, keys[KEY_ID].p, keys[KEY_STREAM].p,
                                  keys[KEY_SEQ].p, keys[KEY_MS].p};
    if (old)
        pgconn_add(c,
                   "SELECT u.number, r.status, r.data, r.requested_path, r.requested_input FROM"
                   " unnest($2::text[], $3::text[], $4::bigint[], $5::bigint[]) WITH ORDINALITY"
                   " u(id, stream, seq, ms, number) LEFT JOIN " RESULT_OF " ON true"
                   " WHERE r.request_id IS NOT NULL OR " BEYOND("u.stream", "u.seq",
                                                                "u.ms") " ORDER BY u.number",
                   5, params, 0);
    else
        pgconn_add(c,
                   "SELECT u.number, r.status, r.data, r.requested_path, r.requested_input"
                   " FROM unnest($2::text[]) WITH ORDINALITY u(id, number) CROSS JOIN " RESULT_OF,
                   2, params, 0);
    for (int i = 0; i < KEYS; i++)
        buf_free(&keys[i]);
}

void results_add_lookup(struct pgconn *c, const struct host *h, const struct list *members) {
    const struct task *first = container_of(members->next, struct task, member);
    bool old = any_old(h, members);
    if (members->next->next != members)
        add_lookup_of_several(c, h, members, old);
    else if (old)
        add_lookup_of_old_one(c, h, first);
    else
        add_lookup_of_one(c, h, first);
}

void results_add_insert(struct pgconn *c, const struct task *t, int status, const char *data) {
    char code[12];
    snprintf(code, sizeof code, "%d", status);
    /* A payload that is no text cannot be stored as TEXT; such a request never ran, and its own
     * redelivery is refused before anything is compared. */
    const char *input = t->input ? xmemdup(t->msg->data, t->msg->len) : NULL;
    pgconn_add(c,
               "INSERT INTO rbf_results (namespace, request_id, requested_path, requested_input,"
               " data, status, code_version) VALUES ($1, $2, $3, $4, $5, $6, $7)",
               7,
               (const char *const[]){t->h->cfg->namespace_, t->env.id, t->path, input ? input : "",
                                     data, code, t->gen->version},
               0);
    free((void *)input);
}

enum { COL_ID, COL_PATH, COL_INPUT, COL_DATA, COLS };

static void add_row(struct buf *cols, const struct task *t) {
    pgarray_add(&cols[COL_ID], t->env.id);
    pgarray_add(&cols[COL_PATH], t->path);
    pgarray_add_n(&cols[COL_INPUT], t->msg->data, t->msg->len);
    pgarray_add_n(&cols[COL_DATA], t->run.call->result, t->run.call->result_len);
}

void results_add_inserts(struct pgconn *c, const struct list *ran) {
    const struct task *t = container_of(ran->next, struct task, member);
    if (ran->next->next == ran) {
        results_add_insert(c, t, 200, t->run.call->result);
        return;
    }
    struct buf cols[COLS] = {0};
    for (int i = 0; i < COLS; i++)
        pgarray_open(&cols[i]);
    list_each(ran, it) add_row(cols, container_of(it, struct task, member));
    for (int i = 0; i < COLS; i++)
        pgarray_close(&cols[i]);
    pgconn_add(c,
               "INSERT INTO rbf_results (namespace, request_id, requested_path, requested_input,"
               " data, status, code_version)"
               " SELECT $1, u.id, u.path, u.input, u.data::jsonb, 200, $2"
               " FROM unnest($3::text[], $4::text[], $5::text[], $6::text[])"
               " u(id, path, input, data)",
               6,
               (const char *const[]){t->h->cfg->namespace_, t->gen->version, cols[COL_ID].p,
                                     cols[COL_PATH].p, cols[COL_INPUT].p, cols[COL_DATA].p},
               0);
    for (int i = 0; i < COLS; i++)
        buf_free(&cols[i]);
}

bool results_taken(const struct pgflight *f) {
    for (int i = 0; i < f->n; i++) {
        const char *name = pgres_err(f->res[i]) ? pgres_constraint(f->res[i]) : NULL;
        if (name && !strcmp(name, "rbf_results_pkey"))
            return true;
    }
    return false;
}
