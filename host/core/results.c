/* SPDX-License-Identifier: MIT */
#include "core/results.h"
#include "base/buf.h"
#include "pg/pgarray.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* By the key alone: PostgreSQL plans this once. (An array's length makes it plan anew each time:
 * 16 against 44 us a lookup.) */
static void add_lookup_of_one(struct pgconn *c, const struct host *h, const struct task *t) {
    pgconn_add(c,
               "SELECT 1, status, data, requested_path, requested_input FROM rbf_results"
               " WHERE namespace = $1 AND request_id = $2",
               2, (const char *const[]){h->cfg->namespace_, t->env.id}, 0);
}

void results_add_lookup(struct pgconn *c, const struct host *h, const struct list *members) {
    struct buf ids = {0};
    if (members->next->next == members) {
        add_lookup_of_one(c, h, container_of(members->next, struct task, member));
        return;
    }
    pgarray_open(&ids);
    list_each(members, it) pgarray_add(&ids, container_of(it, struct task, member)->env.id);
    pgarray_close(&ids);
    /* The lateral form keeps the key's index whatever the table's statistics say; "= ANY" became a
     * scan of the namespace as the table grew. */
    pgconn_add(c,
               "SELECT u.number, r.status, r.data, r.requested_path, r.requested_input"
               " FROM unnest($2::text[]) WITH ORDINALITY u(id, number) CROSS JOIN LATERAL"
               " (SELECT * FROM rbf_results WHERE namespace = $1 AND request_id = u.id LIMIT 1) r",
               2, (const char *const[]){h->cfg->namespace_, ids.p}, 0);
    buf_free(&ids);
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
