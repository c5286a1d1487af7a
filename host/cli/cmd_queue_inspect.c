/* SPDX-License-Identifier: MIT */
/* queue:inspect: what waits in one queue, or died there. */
#include "base/clock.h"
#include "cli/stored.h"
#include <stdio.h>
#include <string.h>

#define PRESET_LIMIT 20

static const struct table_column about_columns[] = {
    {"queue", "queue", TABLE_ID},
    {"stream", "stream", TABLE_ID},
    {"consumer", "consumer", TABLE_ID},
    {"subjects", "subjects", TABLE_ID},
    {0},
};

static const struct table_column message_columns[] = {
    {"sequence", "SEQUENCE", TABLE_NUMBER}, {"state", "STATE", TABLE_TEXT},
    {"subject", "SUBJECT", TABLE_TEXT},     {"attempt", "ATTEMPT", TABLE_NUMBER},
    {"storedAt", "STORED", TABLE_AGE},      {"requestId", "REQUEST", TABLE_ID},
    {"payload", "PAYLOAD", TABLE_JSON},     {0},
};

static json_t *find(const json_t *queues, const char *name) {
    size_t i;
    json_t *q;
    json_array_foreach(queues, i, q) {
        if (!strcmp(site_text(q, "queue"), name))
            return json_incref(q);
    }
    return NULL;
}

static void name_near(const json_t *queues, const char *name) {
    const char *names[65] = {NULL};
    for (size_t i = 0; i < json_array_size(queues) && i < 64; i++)
        names[i] = site_text(json_array_get(queues, i), "queue");
    const char *near = config_nearest(name, names);
    cli_fail("no queue is named '%s'%s%s%s See rbf queue:list", name,
             near ? ", did you mean '" : ".", near ? near : "", near ? "'?" : "");
}

static void add_states(json_t *messages) {
    size_t i;
    json_t *m;
    json_array_foreach(messages, i, m) json_object_set_new(
        m, "state",
        json_string(json_is_true(json_object_get(m, "inFlight")) ? "in flight" : "pending"));
}

static void put_part(struct buf *out, const char *title, const json_t *rows,
                     const struct table_column *columns) {
    buf_printf(out, "\n%s", title);
    if (!json_array_size(rows)) {
        buf_puts(out, ": none\n");
        return;
    }
    buf_puts(out, "\n");
    table_put(out, rows, columns, table_width(), table_colours(), clock_wall_ms());
}

static int print(const struct cli *c, json_t *about) {
    struct buf out = {0};
    if (cli_flag(c, "--json"))
        return cli_json(about);
    add_states(json_object_get(about, "messages"));
    table_put_fields(&out, about, about_columns, table_colours(), clock_wall_ms());
    put_part(&out, "In the stream", json_object_get(about, "messages"), message_columns);
    put_part(&out, "In the outbox", json_object_get(about, "outbox"), stored_outbox_columns);
    fputs(out.p, stdout);
    buf_free(&out);
    json_decref(about);
    return 0;
}

static int inspect(struct site *s, json_t *queue, int limit) {
    struct err err;
    bool more = false, more_rows = false;
    json_t *messages = site_messages(s, queue, limit, &more, &err);
    struct stored_outbox which = {.subjects = site_text(queue, "subjects"), .limit = limit};
    json_t *rows = messages ? stored_outbox(s, &which, &more_rows, &err) : NULL;
    if (!rows) {
        json_decref(messages);
        json_decref(queue);
        return cli_fail("%s", err.msg);
    }
    json_object_set_new(queue, "messages", messages);
    json_object_set_new(queue, "outbox", rows);
    int code = print(s->c, queue);
    stored_say_more(s->c, more || more_rows, limit);
    return code;
}

static int list_dead(struct cli *c, const struct stored_letters *which) {
    struct site s;
    struct err err;
    bool more;
    if (site_open(&s, c, SITE_DATABASE, &err))
        return cli_fail("%s", err.msg);
    json_t *rows = stored_letters(&s, which, &more, &err);
    int code = rows ? cli_list(c, rows, stored_letter_columns, "no dead letters")
                    : cli_fail("%s", err.msg);
    stored_say_more(c, rows && more, which->limit);
    site_close(&s);
    return code;
}

static int list_waiting(struct cli *c, int limit) {
    struct site s;
    struct err err;
    if (site_open(&s, c, SITE_DATABASE | SITE_JETSTREAM, &err))
        return cli_fail("%s", err.msg);
    json_t *queues = site_queues(&s, &err), *queue = NULL;
    int code = 1;
    if (!queues)
        cli_fail("%s", err.msg);
    else if (!(queue = find(queues, c->argv[0])))
        name_near(queues, c->argv[0]);
    else
        code = inspect(&s, queue, limit);
    json_decref(queues);
    site_close(&s);
    return code;
}

int cmd_queue_inspect(struct cli *c) {
    int limit = site_limit(c, PRESET_LIMIT);
    if (limit < 0)
        return 1;
    if (c->argc != 1)
        return cli_fail("usage: rbf queue:inspect QUEUE [--dead] [--limit N]; rbf queue:list names "
                        "the queues");
    struct stored_letters dead = {.queue = c->argv[0], .limit = limit};
    return cli_flag(c, "--dead") ? list_dead(c, &dead) : list_waiting(c, limit);
}
