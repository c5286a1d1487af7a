/* SPDX-License-Identifier: MIT */
#include "core/cronsql.h"
#include "base/id.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define NOW "(EXTRACT(EPOCH FROM clock_timestamp()) * 1000)::bigint"
#define ALIVE "abs(" NOW " - v.seen_at) <= $3::bigint"
/* $1 namespace, $3 lease. A clock that went back leaves no version alive for long. */
#define IN_FORCE                                                                                   \
    "(SELECT v.code_version FROM rbf_cron_versions v WHERE v.namespace = $1 AND " ALIVE            \
    " ORDER BY v.since DESC, v.code_version DESC LIMIT 1)"

struct number {
    char text[24];
};

static const char *text(struct number *n, int64_t value) {
    snprintf(n->text, sizeof n->text, "%" PRId64, value);
    return n->text;
}

static void add(const struct cronsql *q, const char *sql, int n, const char *const *params) {
    pgconn_add(q->conn, sql, n, params, 0);
    pgconn_sync(q->conn);
}

/* A version's since is when the first of its living hosts came with it; young ones come behind all
 * others even if the clock has gone back. A worker that knows it brings it back, should nobody have
 * been able to say that the version is alive. */
void cronsql_beat(const struct cronsql *q, int64_t known, bool deployed, int64_t age_ms) {
    struct number lease, since, age;
    add(q,
        "INSERT INTO rbf_cron_versions AS v (namespace, code_version, since, seen_at)"
        " SELECT $1, $2, COALESCE($4::bigint, GREATEST(" NOW " - $6::bigint,"
        " (SELECT 1 + max(o.since) FROM rbf_cron_versions o WHERE o.namespace = $1"
        " AND o.code_version <> $2 AND $6::bigint < $3::bigint))), " NOW
        " ON CONFLICT (namespace, code_version) DO UPDATE SET since = CASE"
        " WHEN $5::boolean THEN EXCLUDED.since"
        " WHEN $4::bigint IS NOT NULL THEN GREATEST(v.since, $4::bigint)"
        " WHEN " ALIVE " THEN v.since ELSE EXCLUDED.since END, seen_at = EXCLUDED.seen_at"
        " RETURNING since",
        6,
        (const char *const[]){q->cfg->namespace_, q->version, text(&lease, q->cfg->cron_lease_ms),
                              known ? text(&since, known) : NULL, deployed ? "true" : "false",
                              text(&age, age_ms)});
}

void cronsql_look(const struct cronsql *q) {
    struct number lease;
    add(q, "SELECT " NOW ", " IN_FORCE " WHERE $2::text IS NOT NULL", 3,
        (const char *const[]){q->cfg->namespace_, q->version, text(&lease, q->cfg->cron_lease_ms)});
    add(q,
        "SELECT name, spec, tz, path, missed, code_version, next_at, COALESCE(last_slot, 0)"
        " FROM rbf_crons WHERE namespace = $1",
        1, (const char *const[]){q->cfg->namespace_});
}

struct cronrow *cronsql_rows(const struct pgres *res) {
    int n = pgres_rows(res);
    struct cronrow *rows = xcalloc((size_t)n + 1, sizeof *rows);
    for (int i = 0; i < n; i++)
        rows[i] = (struct cronrow){
            .name = pgres_value(res, i, 0, NULL),
            .spec = pgres_value(res, i, 1, NULL),
            .tz = pgres_value(res, i, 2, NULL),
            .path = pgres_value(res, i, 3, NULL),
            .missed = pgres_value(res, i, 4, NULL),
            .version = pgres_value(res, i, 5, NULL),
            .next_at = strtoll(pgres_value(res, i, 6, NULL), NULL, 10),
            .last_slot = strtoll(pgres_value(res, i, 7, NULL), NULL, 10),
        };
    return rows;
}

static void add_define(const struct cronsql *q, const struct cronact *a) {
    struct number lease, next;
    const struct gen_cron *g = a->cron;
    add(q,
        "INSERT INTO rbf_crons AS c (namespace, name, spec, tz, path, missed, code_version, "
        "next_at)"
        " SELECT $1, $4, $5, $6, $7, $8, $2, $9::bigint WHERE $2 = " IN_FORCE
        " ON CONFLICT (namespace, name) DO UPDATE SET spec = EXCLUDED.spec, tz = EXCLUDED.tz,"
        " path = EXCLUDED.path, missed = EXCLUDED.missed, code_version = EXCLUDED.code_version,"
        " next_at = CASE WHEN c.spec = EXCLUDED.spec AND c.tz = EXCLUDED.tz THEN c.next_at"
        " ELSE EXCLUDED.next_at END RETURNING 1",
        9,
        (const char *const[]){q->cfg->namespace_, q->version, text(&lease, q->cfg->cron_lease_ms),
                              g->name, g->spec_text, g->tz, a->path, g->missed,
                              text(&next, a->next)});
}

static void add_remove(const struct cronsql *q, const struct cronact *a) {
    struct number lease;
    add(q,
        "DELETE FROM rbf_crons WHERE namespace = $1 AND name = $4 AND $2 = " IN_FORCE
        " RETURNING 1",
        4,
        (const char *const[]){q->cfg->namespace_, q->version, text(&lease, q->cfg->cron_lease_ms),
                              a->name});
}

/* Of those who want to, one finds the row as it was seen. */
#define CLAIM(set)                                                                                 \
    "UPDATE rbf_crons SET " set " WHERE namespace = $1 AND name = $4 AND next_at = $5::bigint"     \
    " AND code_version = $2 AND $2 = " IN_FORCE

static void add_move(const struct cronsql *q, const struct cronact *a) {
    struct number lease, was, next;
    const char *const params[] = {
        q->cfg->namespace_, q->version,         text(&lease, q->cfg->cron_lease_ms),
        a->cron->name,      text(&was, a->was), text(&next, a->next)};
    if (a->type == CRONACT_BACK)
        add(q, CLAIM("next_at = $6::bigint, last_slot = NULL") " RETURNING 1", 6, params);
    else
        add(q, CLAIM("next_at = $6::bigint") " RETURNING 1", 6, params);
}

/* "cron:<name>:2025-03-30T01:30:00Z": the request's id, the same wherever and whenever it is made.
 */
static void put_id(struct buf *out, const struct cronact *a) {
    char slot[32];
    time_t seconds = a->slot / 1000;
    struct tm tm;
    strftime(slot, sizeof slot, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&seconds, &tm));
    buf_printf(out, "cron:%s:%s", a->cron->name, slot);
}

static void add_fire(const struct cronsql *q, const struct cronact *a) {
    struct number lease, was, next, slot;
    struct buf id = {0}, headers = {0};
    char row[ID_TEXT];
    put_id(&id, a);
    id_v5(id.p, id.len, row);
    buf_printf(&headers, "{\"RBF-Request-Id\":\"%s\"}", id.p); /* names need no escapes */
    add(q,
        "WITH claimed AS (" CLAIM(
            "last_slot = $7::bigint, next_at = $6::bigint") " AND $7::bigint <= " NOW
                                                            " RETURNING 1)"
                                                            " INSERT INTO rbf_outbox (namespace, "
                                                            "source_request_id, id, type, path, "
                                                            "data, headers,"
                                                            " target_at) SELECT $1, $8, $9::uuid, "
                                                            "'request', $10, $11::jsonb, "
                                                            "$12::jsonb, $7::bigint"
                                                            " FROM claimed ON CONFLICT (namespace, "
                                                            "id) DO NOTHING RETURNING 1",
        12,
        (const char *const[]){q->cfg->namespace_, q->version, text(&lease, q->cfg->cron_lease_ms),
                              a->cron->name, text(&was, a->was), text(&next, a->next),
                              text(&slot, a->slot), id.p, row, a->path,
                              a->cron->data ? a->cron->data : "null", headers.p});
    buf_free(&id);
    buf_free(&headers);
}

void cronsql_add(const struct cronsql *q, const struct cronact *a) {
    switch (a->type) {
    case CRONACT_DEFINE:
        add_define(q, a);
        return;
    case CRONACT_REMOVE:
        add_remove(q, a);
        return;
    case CRONACT_FIRE:
        add_fire(q, a);
        return;
    default:
        add_move(q, a);
    }
}
