/* SPDX-License-Identifier: MIT */
/* queue:list: how much waits where. */
#include "base/jsonval.h"
#include "cli/site.h"
#include "cli/table.h"
#include <stdlib.h>
#include <string.h>

#define RATE_S "60"

static const struct table_column columns[] = {
    {"queue", "QUEUE", TABLE_ID},
    {"pending", "PENDING", TABLE_NUMBER},
    {"inFlight", "IN FLIGHT", TABLE_NUMBER},
    {"delayed", "DELAYED", TABLE_NUMBER},
    {"due", "DUE", TABLE_NUMBER},
    {"dead", "DEAD", TABLE_BAD},
    {"ratePerSecond", "RATE/S", TABLE_NUMBER},
    {"oldestAt", "OLDEST", TABLE_AGE},
    {0},
};

/* $1 namespace, $2 the queues as JSON. What is due is decided by the database's clock. */
#define COUNTS                                                                                     \
    "WITH clock AS (SELECT (EXTRACT(EPOCH FROM clock_timestamp()) * 1000)::bigint AS now),"        \
    " q AS (SELECT n, v->>'queue' AS name, rtrim(v->>'subjects', '>') AS prefix"                   \
    "   FROM jsonb_array_elements($2::jsonb) WITH ORDINALITY AS e(v, n)),"                         \
    " o AS (SELECT q.n, count(*) FILTER (WHERE due > now) AS delayed,"                             \
    "   count(*) FILTER (WHERE due <= now) AS due, min(due) FILTER (WHERE due <= now) AS since"    \
    "   FROM clock, q JOIN (SELECT path, COALESCE(next_try_at, target_at, created_at) AS due"      \
    "     FROM rbf_outbox WHERE namespace = $1) r ON starts_with(r.path, q.prefix) GROUP BY q.n)," \
    " d AS (SELECT queue, count(*) AS dead FROM rbf_dead_letters WHERE namespace = $1"             \
    "   AND replayed_at IS NULL GROUP BY queue),"                                                  \
    " r AS (SELECT q.n, count(*) AS done FROM clock, q JOIN rbf_results x ON"                      \
    "   starts_with(x.requested_path, q.prefix) WHERE x.namespace = $1"                            \
    "   AND x.created_at > now - " RATE_S "000 GROUP BY q.n)"                                      \
    " SELECT COALESCE(o.delayed, 0) AS delayed, COALESCE(o.due, 0) AS due, o.since,"               \
    "   COALESCE(d.dead, 0) AS dead, round(COALESCE(r.done, 0) / " RATE_S ".0, 2)::float8 AS rate" \
    " FROM q LEFT JOIN o USING (n) LEFT JOIN r USING (n) LEFT JOIN d ON d.queue = q.name"          \
    " ORDER BY q.n"

static void set(json_t *row, const char *key, json_t *value) {
    json_object_set_new(row, key, value);
}

/* The oldest of what is in the stream and of what should be there. */
static int add_oldest(struct site *s, json_t *row, const json_t *since, struct err *err) {
    bool more;
    json_t *first = site_messages(s, row, 1, &more, err);
    if (!first)
        return -1;
    json_t *at = json_object_get(json_array_get(first, 0), "storedAt");
    if (!at || (json_is_integer(since) && json_integer_value(since) < json_integer_value(at)))
        at = (json_t *)since;
    json_object_set(row, "oldestAt", at ? at : json_null());
    json_decref(first);
    return 0;
}

/* NULL with err; an empty object when there is none. consumer: NULL for the stream itself. */
static json_t *info_of(struct site *s, const char *verb, const json_t *row, const char *consumer,
                       struct err *err) {
    int code;
    json_t *info = js_call(s->js, verb, site_text(row, "stream"), consumer, NULL, &code, err);
    bool none = !info && (code == JSAPI_NO_CONSUMER || code == JSAPI_NO_STREAM);
    return none ? json_object() : info;
}

static json_int_t number(const json_t *o, const char *key) {
    return json_integer_value(json_object_get(o, key));
}

/* Since the server started anew there is no consumer until a host is there: all is still to be
 * given. */
static int add_stream(struct site *s, json_t *row, struct err *err) {
    json_t *stream = NULL;
    json_t *consumer = info_of(s, "CONSUMER.INFO", row, site_text(row, "consumer"), err);
    bool none = consumer && !json_object_size(consumer);
    if (none)
        stream = info_of(s, "STREAM.INFO", row, NULL, err);
    json_int_t pending = none ? number(json_object_get(stream, "state"), "messages")
                              : number(consumer, "num_pending");
    set(row, "pending", json_integer(pending));
    set(row, "inFlight", json_integer(number(consumer, "num_ack_pending")));
    int rc = consumer && (stream || !none) ? 0 : -1;
    json_decref(stream);
    json_decref(consumer);
    return rc;
}

static int fill(struct site *s, json_t *queues, struct err *err) {
    struct buf text = {0};
    size_t i;
    json_t *row;
    jsonval_write(&text, queues);
    json_t *counts =
        site_rows(s, COUNTS, 2, (const char *const[]){s->c->cfg.namespace_, text.p}, err);
    int rc = counts ? 0 : -1;
    json_array_foreach(queues, i, row) {
        const json_t *n = json_array_get(counts, i);
        if (rc == 0)
            rc = add_stream(s, row, err);
        if (rc)
            break;
        json_object_set(row, "delayed", json_object_get(n, "delayed"));
        json_object_set(row, "due", json_object_get(n, "due"));
        json_object_set(row, "dead", json_object_get(n, "dead"));
        set(row, "ratePerSecond", json_real(json_number_value(json_object_get(n, "rate"))));
        rc = add_oldest(s, row, json_object_get(n, "since"), err);
    }
    json_decref(counts);
    buf_free(&text);
    return rc;
}

int cmd_queue_list(struct cli *c) {
    struct site s;
    struct err err;
    if (c->argc)
        return cli_fail("queue:list takes no arguments, found '%s'; see rbf queue:list --help",
                        c->argv[0]);
    if (site_open(&s, c, SITE_DATABASE | SITE_JETSTREAM, &err))
        return cli_fail("%s", err.msg);
    json_t *queues = site_queues(&s, &err);
    int rc = queues ? fill(&s, queues, &err) : -1;
    int code = rc ? cli_fail("%s", err.msg)
                  : cli_list(c, json_incref(queues), columns,
                             "no queues: no app here, and no stream in this namespace");
    json_decref(queues);
    site_close(&s);
    return code;
}
