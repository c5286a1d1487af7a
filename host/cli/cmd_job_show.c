/* SPDX-License-Identifier: MIT */
/* job:show: everything that is known of one request. */
#include "base/clock.h"
#include "cli/progress.h"
#include "cli/stored.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SCAN_LIMIT 1000 /* messages of a queue that are looked through */
#define LIST_LIMIT 100

static const struct table_column head_columns[] = {
    {"id", "request", TABLE_ID},
    {"state", "state", TABLE_STATE},
    {0},
};
static const struct table_column result_columns[] = {
    {"subject", "subject", TABLE_ID},
    {"status", "status", TABLE_NUMBER},
    {"createdAt", "stored", TABLE_TIME},
    {"codeVersion", "version", TABLE_ID},
    {"input", "input", TABLE_JSON},
    {"data", "data", TABLE_JSON},
    {0},
};
static const struct table_column own_columns[] = {
    {"id", "job", TABLE_ID},
    {"subject", "subject", TABLE_ID},
    {"state", "state", TABLE_STATE},
    {"dueAt", "due", TABLE_TIME},
    {"attempt", "attempt", TABLE_NUMBER},
    {"sourceRequestId", "scheduled by", TABLE_ID},
    {"headers", "headers", TABLE_JSON},
    {"payload", "payload", TABLE_JSON},
    {0},
};
static const struct table_column message_columns[] = {
    {"queue", "queue", TABLE_ID},         {"sequence", "sequence", TABLE_NUMBER},
    {"subject", "subject", TABLE_ID},     {"storedAt", "stored", TABLE_TIME},
    {"attempt", "attempt", TABLE_NUMBER}, {"headers", "headers", TABLE_JSON},
    {"payload", "payload", TABLE_JSON},   {0},
};
static const struct table_column letter_columns[] = {
    {"id", "letter", TABLE_ID},
    {"subject", "subject", TABLE_ID},
    {"code", "code", TABLE_ID},
    {"message", "message", TABLE_ID},
    {"attempts", "attempts", TABLE_NUMBER},
    {"firstSeenAt", "first seen", TABLE_TIME},
    {"diedAt", "died", TABLE_TIME},
    {"replayedAt", "replayed", TABLE_TIME},
    {"codeVersion", "version", TABLE_ID},
    {"fingerprint", "group", TABLE_ID},
    {"headers", "headers", TABLE_JSON},
    {"payload", "payload", TABLE_JSON},
    {0},
};

/* --- gathering --- */

/* The id of a request, or that of a dead letter or a waiting job. */
#define RESOLVE                                                                                    \
    "SELECT COALESCE((SELECT request_id FROM rbf_dead_letters WHERE namespace = $1"                \
    "   AND id::text = $2), (SELECT COALESCE(headers->>'RBF-Request-Id', id::text)"                \
    "   FROM rbf_outbox WHERE namespace = $1 AND id::text = $2), $2) AS id"

static char *resolve(struct site *s, const char *id, struct err *err) {
    json_t *rows = site_rows(s, RESOLVE, 2, (const char *const[]){s->c->cfg.namespace_, id}, err);
    char *found = rows ? xstrdup(site_text(json_array_get(rows, 0), "id")) : NULL;
    json_decref(rows);
    return found;
}

/* Takes rows. */
static int keep(json_t *out, const char *key, json_t *rows) {
    if (rows)
        json_object_set_new(out, key, rows);
    return rows ? 0 : -1;
}

static int gather_stored(struct site *s, const char *id, json_t *out, struct err *err) {
    bool more;
    struct stored_outbox own = {.request = id, .limit = LIST_LIMIT};
    struct stored_outbox made = {.source = id, .limit = LIST_LIMIT};
    struct stored_letters letters = {.request = id, .all = true, .limit = LIST_LIMIT};
    json_t *results = stored_results(s, id, err);
    if (!results)
        return -1;
    json_object_set(out, "result",
                    json_array_size(results) ? json_array_get(results, 0) : json_null());
    json_decref(results);
    if (keep(out, "waiting", stored_outbox(s, &own, &more, err)) ||
        keep(out, "followUps", stored_outbox(s, &made, &more, err)))
        return -1;
    return keep(out, "deadLetters", stored_letters(s, &letters, &more, err));
}

static void take_matching(const json_t *queue, const json_t *messages, const char *id,
                          json_t *found) {
    size_t i;
    json_t *m;
    json_array_foreach(messages, i, m) {
        if (strcmp(site_text(m, "requestId"), id) != 0)
            continue;
        json_object_set(m, "queue", json_object_get(queue, "queue"));
        json_array_append(found, m);
    }
}

/* Messages have no index by request id: each queue's first ones are looked through. */
static int gather_messages(struct site *s, const char *id, json_t *out, struct err *err) {
    size_t i;
    json_t *queue, *found = json_array(), *queues = site_queues(s, err);
    struct progress bar =
        progress_begin("looking through the streams", (int64_t)json_array_size(queues));
    int rc = queues ? 0 : -1;
    json_array_foreach(queues, i, queue) {
        bool more;
        json_t *messages = rc ? NULL : site_messages(s, queue, SCAN_LIMIT, &more, err);
        rc = messages ? 0 : -1;
        if (messages && more)
            fprintf(stderr, "rbf: only the first %d messages of %s were looked through\n",
                    SCAN_LIMIT, site_text(queue, "queue"));
        take_matching(queue, messages, id, found);
        json_decref(messages);
        progress_step(&bar);
    }
    progress_end(&bar);
    json_decref(queues);
    json_object_set_new(out, "messages", found);
    return rc;
}

/* --- what it comes to --- */

static const char *state_of(const json_t *o) {
    const json_t *result = json_object_get(o, "result");
    const json_t *message = json_array_get(json_object_get(o, "messages"), 0);
    const json_t *row = json_array_get(json_object_get(o, "waiting"), 0);
    const json_t *letter = json_array_get(json_object_get(o, "deadLetters"), 0);
    bool replayed = json_is_integer(json_object_get(letter, "replayedAt"));
    if (json_integer_value(json_object_get(result, "status")) == 200)
        return "done";
    if (row)
        return site_text(row, "state");
    if (message)
        return json_is_true(json_object_get(message, "inFlight")) ? "in flight" : "pending";
    if (letter && !replayed)
        return "dead";
    return json_is_object(result) ? "failed" : letter ? "replayed" : "unknown";
}

static void add_version(json_t *versions, const json_t *row) {
    size_t i;
    json_t *v, *one = json_object_get(row, "codeVersion");
    json_array_foreach(versions, i, v) {
        if (json_equal(v, one))
            return;
    }
    if (json_is_string(one))
        json_array_append(versions, one);
}

static json_t *versions_of(const json_t *o) {
    size_t i;
    json_t *letter, *versions = json_array();
    add_version(versions, json_object_get(o, "result"));
    json_array_foreach(json_object_get(o, "deadLetters"), i, letter) add_version(versions, letter);
    return versions;
}

static json_t *gather(struct site *s, const char *any_id, struct err *err) {
    char *id = resolve(s, any_id, err);
    json_t *out = json_object();
    int rc = id ? 0 : -1;
    if (!rc) {
        json_object_set_new(out, "id", json_string(id));
        json_object_set_new(out, "state", json_null());
        json_object_set_new(out, "versions", json_null());
        rc = gather_stored(s, id, out, err);
    }
    if (!rc && s->js)
        rc = gather_messages(s, id, out, err);
    free(id);
    if (!rc) {
        json_object_set_new(out, "state", json_string(state_of(out)));
        json_object_set_new(out, "versions", versions_of(out));
        return out;
    }
    json_decref(out);
    return NULL;
}

/* --- printing --- */

static void put_one(struct buf *out, const char *title, const json_t *row,
                    const struct table_column *columns) {
    const char *trace = site_text(row, "traceback");
    buf_printf(out, "\n%s\n", title);
    table_put_fields(out, row, columns, table_colours(), clock_wall_ms());
    for (size_t n; *trace; trace += n + (trace[n] != 0)) {
        n = strcspn(trace, "\n");
        buf_printf(out, "    %.*s\n", (int)n, trace);
    }
}

static void put_each(struct buf *out, const char *title, const json_t *rows,
                     const struct table_column *columns) {
    size_t i;
    json_t *row;
    json_array_foreach(rows, i, row) put_one(out, title, row, columns);
}

static void print(const json_t *o) {
    struct buf out = {0};
    const json_t *made = json_object_get(o, "followUps");
    json_t *row = json_array_get(json_object_get(o, "waiting"), 0);
    if (json_equal(json_object_get(row, "sourceRequestId"), json_object_get(o, "id")))
        json_object_del(row, "sourceRequestId"); /* an attempt of its own */
    table_put_fields(&out, o, head_columns, table_colours(), clock_wall_ms());
    if (json_is_object(json_object_get(o, "result")))
        put_one(&out, "Result", json_object_get(o, "result"), result_columns);
    put_each(&out, "In the stream", json_object_get(o, "messages"), message_columns);
    put_each(&out, "In the outbox", json_object_get(o, "waiting"), own_columns);
    put_each(&out, "Dead letter", json_object_get(o, "deadLetters"), letter_columns);
    if (json_array_size(made)) {
        buf_puts(&out, "\nIt scheduled, and not yet published\n");
        table_put(&out, made, stored_outbox_columns, table_width(), table_colours(),
                  clock_wall_ms());
    }
    fputs(out.p, stdout);
    buf_free(&out);
}

static int tell(struct cli *c, json_t *o) {
    bool unknown = !strcmp(site_text(o, "state"), "unknown");
    if (cli_flag(c, "--json"))
        return cli_json(o) || unknown;
    if (!unknown)
        print(o);
    json_decref(o);
    if (!unknown)
        return 0;
    return cli_fail("nothing is known of %s: it never came, or its result is gone already (results "
                    "are kept for --results-retention)",
                    c->argv[0]);
}

/* Without NATS there is still the database. */
static int open_site(struct site *s, struct cli *c, struct err *err) {
    if (site_open(s, c, SITE_DATABASE, err))
        return -1;
    struct err why;
    if (c->cfg.nats_url && !(s->js = js_open(&c->cfg, "rbf job:show", &why)))
        cli_fail("the streams were not looked at: %s", why.msg);
    if (!c->cfg.nats_url)
        cli_fail("the streams were not looked at: NATS_URL is missing");
    return 0;
}

int cmd_job_show(struct cli *c) {
    struct site s;
    struct err err;
    if (c->argc != 1)
        return cli_fail("usage: rbf job:show ID, the id of a request, a job or a dead letter");
    if (open_site(&s, c, &err))
        return cli_fail("%s", err.msg);
    json_t *o = gather(&s, c->argv[0], &err);
    int code = o ? tell(c, o) : cli_fail("%s", err.msg);
    site_close(&s);
    return code;
}
