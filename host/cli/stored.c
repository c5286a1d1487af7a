/* SPDX-License-Identifier: MIT */
#include "cli/stored.h"
#include "base/jsonval.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What must be seen whole is what other commands take; job:show has the rest. */
const struct table_column stored_outbox_columns[] = {
    {"id", "JOB", TABLE_ID},
    {"subject", "SUBJECT", TABLE_TEXT},
    {"state", "STATE", TABLE_STATE},
    {"dueAt", "DUE", TABLE_AGE},
    {"attempt", "ATTEMPT", TABLE_NUMBER},
    {"requestId", "REQUEST", TABLE_TEXT},
    {0},
};

const struct table_column stored_letter_columns[] = {
    {"requestId", "REQUEST", TABLE_ID},
    {"diedAt", "DIED", TABLE_AGE},
    {"attempts", "ATTEMPTS", TABLE_NUMBER},
    {"fingerprint", "GROUP", TABLE_ID},
    {"subject", "SUBJECT", TABLE_TEXT},
    {"message", "MESSAGE", TABLE_TEXT},
    {0},
};

/* Takes away what was fetched only to know that there is more. */
static json_t *cut(json_t *rows, int limit, bool *more) {
    *more = (int)json_array_size(rows) > limit;
    while ((int)json_array_size(rows) > limit)
        json_array_remove(rows, json_array_size(rows) - 1);
    return rows;
}

/* $1 namespace, $2 subject's beginning, $3 request id, $4 source's, $5 limit */
#define OUTBOX                                                                                     \
    "SELECT id, type, path AS subject, request_id AS \"requestId\","                               \
    " source_request_id AS \"sourceRequestId\", CASE WHEN attempts > 0 THEN 'unpublished'"         \
    " WHEN due <= now THEN 'due' WHEN headers ? 'RBF-First-Seen' THEN 'retrying' ELSE 'waiting'"   \
    " END AS state, due AS \"dueAt\", target_at AS \"targetAt\", created_at AS \"createdAt\","     \
    " headers->>'RBF-Attempt' AS attempt, attempts AS \"publishAttempts\", headers,"               \
    " data AS payload FROM (SELECT *, COALESCE(next_try_at, target_at, created_at) AS due,"        \
    "   (EXTRACT(EPOCH FROM clock_timestamp()) * 1000)::bigint AS now,"                            \
    "   CASE WHEN type = 'request' THEN COALESCE(headers->>'RBF-Request-Id', id::text) END"        \
    "   AS request_id FROM rbf_outbox WHERE namespace = $1) o"                                     \
    " WHERE ($2::text IS NULL OR starts_with(path, $2)) AND ($3::text IS NULL OR request_id = $3)" \
    " AND ($4::text IS NULL OR (source_request_id = $4 AND request_id IS DISTINCT FROM $4))"       \
    " ORDER BY due, id LIMIT $5::bigint"

/* Headers are texts. */
static void attempt_as_number(json_t *row) {
    const char *text = site_text(row, "attempt");
    if (*text)
        json_object_set_new(row, "attempt", json_integer(atoi(text)));
}

json_t *stored_outbox(struct site *s, const struct stored_outbox *w, bool *more, struct err *err) {
    char limit[24], *prefix = xstrdup(w->subjects);
    size_t i;
    json_t *row;
    snprintf(limit, sizeof limit, "%d", w->limit + 1);
    if (prefix && *prefix && prefix[strlen(prefix) - 1] == '>')
        prefix[strlen(prefix) - 1] = 0;
    json_t *rows = site_rows(
        s, OUTBOX, 5,
        (const char *const[]){s->c->cfg.namespace_, prefix, w->request, w->source, limit}, err);
    free(prefix);
    json_array_foreach(rows, i, row) attempt_as_number(row);
    return cut(rows, w->limit, more);
}

/* $1 namespace, $2 queue, $3 request id, $4 replayed ones too, $5 limit */
#define LETTERS                                                                                    \
    "SELECT id, queue, subject, request_id AS \"requestId\", error_code AS code,"                  \
    " error_message AS message, attempts, fingerprint, first_seen_at AS \"firstSeenAt\","          \
    " died_at AS \"diedAt\", replayed_at AS \"replayedAt\", code_version AS \"codeVersion\","      \
    " error_traceback AS traceback, headers, encode(payload, 'hex') AS payload"                    \
    " FROM rbf_dead_letters WHERE namespace = $1 AND ($2::text IS NULL OR queue = $2)"             \
    " AND ($3::text IS NULL OR request_id = $3) AND ($4::boolean OR replayed_at IS NULL)"          \
    " ORDER BY died_at DESC, id LIMIT $5::bigint"

static void read_hex(json_t *row) {
    const char *hex = site_text(row, "payload");
    struct buf bytes = {0};
    buf_puts(&bytes, "");
    for (; hex[0] && hex[1]; hex += 2) {
        char pair[3] = {hex[0], hex[1], 0};
        buf_putc(&bytes, (char)strtol(pair, NULL, 16));
    }
    json_object_set_new(row, "payload", site_payload(bytes.p, bytes.len));
    buf_free(&bytes);
}

json_t *stored_letters(struct site *s, const struct stored_letters *w, bool *more,
                       struct err *err) {
    char limit[24];
    size_t i;
    json_t *row;
    snprintf(limit, sizeof limit, "%d", w->limit + 1);
    json_t *rows = site_rows(s, LETTERS, 5,
                             (const char *const[]){s->c->cfg.namespace_, w->queue, w->request,
                                                   w->all ? "true" : "false", limit},
                             err);
    json_array_foreach(rows, i, row) read_hex(row);
    return cut(rows, w->limit, more);
}

json_t *stored_results(struct site *s, const char *request, struct err *err) {
    size_t i;
    json_t *row;
    json_t *rows = site_rows(s,
                             "SELECT requested_path AS subject, status, data, requested_input AS"
                             " input, code_version AS \"codeVersion\", created_at AS \"createdAt\""
                             " FROM rbf_results WHERE namespace = $1 AND request_id = $2",
                             2, (const char *const[]){s->c->cfg.namespace_, request}, err);
    json_array_foreach(rows, i, row) {
        const char *text = site_text(row, "input");
        json_object_set_new(row, "input", site_payload(text, strlen(text)));
    }
    return rows;
}

void stored_say_more(const struct cli *c, bool more, int limit) {
    if (more)
        fprintf(stderr, "rbf: there are more than these %d: --limit N shows more\n", limit);
}
