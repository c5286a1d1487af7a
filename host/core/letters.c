/* SPDX-License-Identifier: MIT */
#include "core/letters.h"
#include "base/id.h"
#include "base/jsonval.h"
#include "core/dead.h"
#include <stdlib.h>
#include <string.h>

#define NOW "(EXTRACT(EPOCH FROM clock_timestamp()) * 1000)::bigint"
/* $1 namespace, $2 id or NULL, $3 fingerprint or NULL (both NULL: all) */
#define CHOSEN                                                                                     \
    "namespace = $1 AND replayed_at IS NULL AND ($2::text IS NULL OR id::text = $2 OR request_id " \
    "= $2) AND ($3::text IS NULL OR fingerprint = $3)"

static const char *const *choice(const char *ns, const struct letter_choice *w,
                                 const char *params[3]) {
    params[0] = ns;
    params[1] = w->all ? NULL : w->id;
    params[2] = w->all ? NULL : w->fingerprint;
    return params;
}

static int run(struct pgsync *s, const char *sql, struct err *err) {
    struct pgres *r = pgsync_query(s, sql, 0, NULL, err);
    pgsync_free(r);
    return r ? 0 : -1;
}

/* ---- going through them: each is locked, in the order in which they died ---- */

/* Where a walk is: behind what it has looked at. */
struct cursor {
    char *died_at, *id, *until;
};

/* The next letters behind (died_at, id), locked; those that another walk has are passed over. What
 * dies after $6 may have been sent by this very replay: it is not sent on and on. */
#define NEXT                                                                                       \
    "SELECT id, died_at, payload FROM rbf_dead_letters WHERE " CHOSEN                              \
    " AND (died_at, id) > ($4::bigint, $5::uuid) AND died_at <= $6::bigint"                        \
    " ORDER BY died_at, id LIMIT $7::int FOR UPDATE SKIP LOCKED"

static void cursor_free(struct cursor *c) {
    free(c->died_at);
    free(c->id);
    free(c->until);
}

static int cursor_init(struct cursor *c, struct pgsync *s, struct err *err) {
    struct pgres *now = pgsync_query(s, "SELECT " NOW, 0, NULL, err);
    if (!now)
        return -1;
    *c = (struct cursor){xstrdup("0"), xstrdup("00000000-0000-0000-0000-000000000000"),
                         xstrdup(pgres_value(now, 0, 0, NULL))};
    pgsync_free(now);
    return 0;
}

/* Behind the row's letter; columns: id, died_at */
static void cursor_pass(struct cursor *c, const struct pgres *row) {
    free(c->id);
    free(c->died_at);
    c->id = xstrdup(pgres_value(row, 0, 0, NULL));
    c->died_at = xstrdup(pgres_value(row, 0, 1, NULL));
}

struct walk {
    struct pgsync *s;
    const char *const *choice; /* [3] */
    struct cursor at;
};

/* Begins a transaction and runs sql there, which takes the parameters of NEXT (so many letters at
 * most) and gives one row with the last letter it took, or none. NULL with err. */
static struct pgres *walk_on(struct walk *w, const char *sql, const char *most, struct err *err) {
    const char *params[] = {w->choice[0], w->choice[1], w->choice[2], w->at.died_at,
                            w->at.id,     w->at.until,  most};
    struct pgres *r = run(w->s, "BEGIN ISOLATION LEVEL READ COMMITTED", err)
                          ? NULL
                          : pgsync_query(w->s, sql, 7, params, err);
    if (r && pgres_rows(r))
        cursor_pass(&w->at, r);
    return r;
}

/* ---- replay ---- */

/* bytea's hex form ("\x6162") as bytes. */
static void put_bytes(struct buf *out, const char *hex) {
    if (!hex || strlen(hex) < 2)
        return;
    for (const char *p = hex + 2; p[0] && p[1]; p += 2) {
        char pair[3] = {p[0], p[1], 0};
        buf_putc(out, (char)strtol(pair, NULL, 16));
    }
}

/* The payload as the outbox holds it; false when a host would refuse it again. */
static bool read_payload(const char *hex, struct buf *json) {
    struct buf bytes = {0};
    put_bytes(&bytes, hex);
    json_t *v = jsonval_read(bytes.p ? bytes.p : "", bytes.len, NULL);
    if (v)
        jsonval_write(json, v);
    json_decref(v);
    buf_free(&bytes);
    return v;
}

/* $1 namespace, $2 letter's id, $3 payload. The headers of the first try that say when, for whom
 * and which attempt are left out; only what NATS did not take may have been a plain message. */
#define REPLAY                                                                                     \
    "WITH l AS (SELECT * FROM rbf_dead_letters WHERE namespace = $1 AND id = $2),"                 \
    " gone AS (DELETE FROM rbf_results r USING l WHERE r.namespace = l.namespace"                  \
    "   AND r.request_id = l.request_id AND r.status <> 200),"                                     \
    " sent AS (INSERT INTO rbf_outbox (namespace, id, source_request_id, type, path, data,"        \
    "   headers, target_at) SELECT l.namespace, gen_random_uuid(), l.request_id,"                  \
    "   CASE WHEN l.error_code = 'UNPUBLISHABLE' AND NOT COALESCE(l.headers, '{}') ?"              \
    "     'RBF-Request-Id' THEN 'message' ELSE 'request' END, l.subject, $3::jsonb,"               \
    "   COALESCE((SELECT jsonb_object_agg(key, value) FROM jsonb_each(l.headers) WHERE lower(key)" \
    "     NOT IN ('reply-to', 'expires-at', 'target-at', 'nats-msg-id', 'request-id')"             \
    "     AND lower(key) NOT LIKE 'rbf-%' AND value <> '\"" DEAD_REDACTED "\"'), '{}')"            \
    "     || jsonb_build_object('RBF-Request-Id', l.request_id), " NOW                             \
    "   FROM l WHERE NOT EXISTS (SELECT FROM rbf_results r WHERE r.namespace = l.namespace"        \
    "     AND r.request_id = l.request_id AND r.status = 200) RETURNING 1)"                        \
    " UPDATE rbf_dead_letters d SET replayed_at = " NOW " FROM l WHERE d.namespace = l.namespace"  \
    " AND d.id = l.id RETURNING (SELECT count(*) FROM sent)"

static int replay_one(struct pgsync *s, const char *ns, const struct pgres *letter,
                      struct letter_counts *out, struct err *err) {
    struct buf json = {0};
    if (!read_payload(pgres_value(letter, 0, 2, NULL), &json)) {
        out->refused++;
        buf_free(&json);
        return 0;
    }
    struct pgres *r = pgsync_query(
        s, REPLAY, 3, (const char *const[]){ns, pgres_value(letter, 0, 0, NULL), json.p}, err);
    buf_free(&json);
    if (!r)
        return -1;
    if (atoi(pgres_value(r, 0, 0, NULL)))
        out->replayed++;
    else
        out->succeeded++;
    pgsync_free(r);
    return 0;
}

/* 1: there was one; 0: none is left; -1 with err. */
static int replay_next(struct walk *w, struct letter_counts *out, struct err *err) {
    struct pgres *letter = walk_on(w, NEXT, "1", err);
    int rc = letter ? pgres_rows(letter) : -1;
    if (rc == 1 && replay_one(w->s, w->choice[0], letter, out, err))
        rc = -1;
    pgsync_free(letter);
    if (rc >= 0 && run(w->s, "COMMIT", err))
        rc = -1;
    return rc;
}

int letters_replay(struct pgsync *s, const char *ns, const struct letter_choice *which,
                   struct letter_counts *out, struct err *err) {
    const char *params[3];
    struct walk w = {.s = s, .choice = choice(ns, which, params)};
    int rc;
    *out = (struct letter_counts){0};
    if (cursor_init(&w.at, s, err))
        return -1;
    while ((rc = replay_next(&w, out, err)) == 1)
        if (which->step)
            which->step(which->arg);
    cursor_free(&w.at);
    return rc;
}

/* ---- discard ---- */

/* So that no transaction is long, and who waits for a row of it does not wait long. */
#define BATCH "1000"

#define DISCARD                                                                                    \
    "WITH l AS (" NEXT "), d AS (DELETE FROM rbf_dead_letters d USING l WHERE d.namespace = $1"    \
    "   AND d.id = l.id RETURNING d.request_id),"                                                  \
    " r AS (DELETE FROM rbf_results r USING d WHERE r.namespace = $1"                              \
    "   AND r.request_id = d.request_id AND r.status <> 200)"                                      \
    " SELECT id, died_at, count(*) OVER () FROM l ORDER BY died_at DESC, id DESC LIMIT 1"

/* How many went; -1 with err. */
static int64_t discard_next(struct walk *w, struct err *err) {
    struct pgres *last = walk_on(w, DISCARD, BATCH, err);
    int64_t n = !last ? -1 : pgres_rows(last) ? atoll(pgres_value(last, 0, 2, NULL)) : 0;
    pgsync_free(last);
    if (n >= 0 && run(w->s, "COMMIT", err))
        n = -1;
    return n;
}

int letters_discard(struct pgsync *s, const char *ns, const struct letter_choice *which,
                    int64_t *discarded, struct err *err) {
    const char *params[3];
    struct walk w = {.s = s, .choice = choice(ns, which, params)};
    int64_t n;
    *discarded = 0;
    if (cursor_init(&w.at, s, err))
        return -1;
    while ((n = discard_next(&w, err)) > 0) {
        *discarded += n;
        for (int64_t i = 0; which->step && i < n; i++)
            which->step(which->arg);
    }
    cursor_free(&w.at);
    return (int)n;
}

/* ---- count, cancel ---- */

static int counted(struct pgsync *s, const char *sql, const char *const params[3], int64_t *n,
                   struct err *err) {
    struct pgres *r = pgsync_query(s, sql, 3, params, err);
    if (!r)
        return -1;
    *n = atoll(pgres_value(r, 0, 0, NULL));
    pgsync_free(r);
    return 0;
}

int letters_count(struct pgsync *s, const char *ns, const struct letter_choice *which, int64_t *n,
                  struct err *err) {
    const char *params[3];
    return counted(s, "SELECT count(*) FROM rbf_dead_letters WHERE " CHOSEN,
                   choice(ns, which, params), n, err);
}

#define REPLY_TO                                                                                   \
    "(SELECT value FROM jsonb_each_text(headers) WHERE lower(key) = 'reply-to' LIMIT 1)"
#define CANCELLED "'{\"code\": \"ABORTED\", \"message\": \"it was cancelled\"}'"

/* $1 namespace, $2 id, $3 the row's id if that is a request's. READ COMMITTED: a row whose lock the
 * sweeper holds is waited for and looked at again. The message that a parked row was made of may
 * come once more, if its ack was lost: it finds its outcome. Who waits for its reply is told that
 * by the sweeper. */
#define CANCEL                                                                                     \
    "WITH gone AS (DELETE FROM rbf_outbox WHERE namespace = $1 AND type = 'request' AND target_at" \
    "   > " NOW " AND (id::text = lower($2) OR id::text = $3 OR headers->>'RBF-Request-Id' = $2)"  \
    "   RETURNING *), parked AS (SELECT *, headers->>'RBF-Request-Id' AS request_id, " REPLY_TO    \
    "   AS reply_to FROM gone WHERE headers ? 'RBF-First-Seen'),"                                  \
    " told AS (INSERT INTO rbf_results (namespace, request_id, requested_path, requested_input,"   \
    "   data, status) SELECT namespace, request_id, path, data::text, " CANCELLED ", 499"          \
    "   FROM parked ON CONFLICT DO NOTHING),"                                                      \
    " answers AS (INSERT INTO rbf_outbox (namespace, source_request_id, type, path, data, "        \
    "headers,"                                                                                     \
    "   target_at) SELECT namespace, source_request_id, 'message', reply_to, " CANCELLED ","       \
    "   jsonb_build_object('Status-Code', '499', 'Request-Id', request_id, 'RBF-Request-Id',"      \
    "   request_id), " NOW " FROM parked WHERE reply_to IS NOT NULL)"                              \
    " SELECT count(*) FROM gone"

int letters_cancel(struct pgsync *s, const char *ns, const char *id, bool *cancelled,
                   struct err *err) {
    char named[ID_TEXT];
    int64_t n = 0;
    id_v5(id, strlen(id), named);
    int rc = counted(s, CANCEL, (const char *const[]){ns, id, named}, &n, err);
    *cancelled = n > 0;
    return rc;
}
