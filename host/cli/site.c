/* SPDX-License-Identifier: MIT */
#include "cli/site.h"
#include "base/jsonval.h"
#include "core/queuespec.h"
#include <glib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

const char *site_text(const json_t *row, const char *key) {
    const char *s = json_string_value(json_object_get(row, key));
    return s ? s : "";
}

int site_limit(const struct cli *c, int preset) {
    const char *text = cli_flag(c, "--limit");
    char *end;
    if (!text)
        return preset;
    long n = strtol(text, &end, 10);
    if (*end || n < 1 || n > 1000000)
        return -cli_fail("--limit is a number from 1 to 1000000, found '%s'", text);
    return (int)n;
}

/* --- opening --- */

/* The app says more than its servers know: names of queues, and main.lua's settings. */
static struct gen *load_app(struct cli *c) {
    struct stat st;
    struct err err;
    if (stat(c->cfg.app_dir, &st) || !S_ISDIR(st.st_mode))
        return NULL;
    struct gen *g = cli_load(c, &err);
    if (!g)
        cli_fail("going on without the app: %s", err.msg);
    return g;
}

static int connect_to(struct site *s, int parts, struct err *err) {
    struct config *cfg = &s->c->cfg;
    if ((parts & SITE_DATABASE) && !(s->pg = pgsync_open(cfg->database_url, err)))
        return -1;
    if ((parts & SITE_JETSTREAM) && !(s->js = js_open(cfg, "rbf", err)))
        return -1;
    return 0;
}

int site_find_servers(struct cli *c, struct err *err) {
    if (c->cfg.database_url || c->cfg.nats_url)
        return 0;
    return cli_find_servers(c, &c->cfg.database_url, err);
}

static struct err missing(const struct cli *c) {
    struct err err;
    const char *what = c->cfg.database_url ? "NATS_URL" : "DATABASE_URL";
    err_set(&err, ERR_CONFIG, "%s is missing: set it, too (or neither, where `rbf dev` runs)",
            what);
    return err;
}

int site_open(struct site *s, struct cli *c, int parts, struct err *err) {
    struct err none;
    *s = (struct site){.c = c};
    err_clear(&none);
    (void)!site_find_servers(c, &none);
    s->gen = load_app(c);
    if (((parts & SITE_DATABASE) && !c->cfg.database_url) ||
        ((parts & SITE_JETSTREAM) && !c->cfg.nats_url))
        *err = none.kind ? none : missing(c);
    else if (connect_to(s, parts, err) == 0)
        return 0;
    site_close(s);
    return -1;
}

void site_close(struct site *s) {
    pgsync_close(s->pg);
    js_close(s->js);
    gen_unref(s->gen);
    *s = (struct site){.c = s->c};
}

/* --- the database --- */

json_t *site_rows(struct site *s, const char *select, int n, const char *const *params,
                  struct err *err) {
    char *sql = xasprintf("SELECT COALESCE(json_agg(row_to_json(t)), '[]') FROM (%s) t", select);
    struct pgres *r = pgsync_query(s->pg, sql, n, params, err);
    json_t *rows = NULL;
    if (r) {
        size_t len;
        const char *text = pgres_value(r, 0, 0, &len);
        rows = json_loadb(text, len, JSON_ALLOW_NUL, NULL); /* counters may be beyond 2^53 */
        if (!rows)
            err_set(err, ERR_PG, "PostgreSQL gave JSON that cannot be read");
    }
    pgsync_free(r);
    free(sql);
    return rows;
}

/* --- the queues --- */

static bool has_stream(const json_t *queues, const char *stream) {
    size_t i;
    json_t *q;
    json_array_foreach(queues, i, q) {
        if (!strcmp(site_text(q, "stream"), stream))
            return true;
    }
    return false;
}

static void add_known(const struct site *s, json_t *queues) {
    for (int i = 0; s->gen && i < s->gen->n_queues; i++) {
        struct stream_spec spec;
        queuespec_fill(&spec, &s->c->cfg, s->gen, i);
        json_array_append_new(
            queues, json_pack("{s:s, s:s, s:s, s:s}", "queue", s->gen->queues[i].name, "stream",
                              spec.stream, "consumer", spec.consumer, "subjects", spec.subjects));
        queuespec_free(&spec);
    }
}

static void add_row(json_t *queues, const char *name, const json_t *stream, const char *filter) {
    const json_t *subjects = json_object_get(stream, "subjects");
    const char *first = json_string_value(json_array_get(subjects, 0));
    json_array_append_new(queues, json_pack("{s:s, s:s, s:s, s:s}", "queue", name, "stream",
                                            site_text(stream, "name"), "consumer", name, "subjects",
                                            *filter ? filter
                                            : first ? first
                                                    : ""));
}

/* A stream of another app in the namespace, or of a queue that the app no longer has; by its own
 * name while it has no consumer. stream: its config. */
static int add_consumers(struct site *s, json_t *queues, const json_t *stream, struct err *err) {
    size_t i;
    const char *name = site_text(stream, "name");
    json_t *info, *consumers = js_list(s->js, "CONSUMER.LIST", name, "consumers", err);
    json_array_foreach(consumers, i, info) {
        add_row(queues, site_text(info, "name"), stream,
                site_text(json_object_get(info, "config"), "filter_subject"));
    }
    if (consumers && !json_array_size(consumers))
        add_row(queues, name, stream, "");
    json_decref(consumers);
    return consumers ? 0 : -1;
}

json_t *site_queues(struct site *s, struct err *err) {
    size_t i;
    json_t *info, *queues = json_array();
    json_t *streams = js_list(s->js, "STREAM.LIST", NULL, "streams", err);
    char *ours = xasprintf("rbf namespace %s", s->c->cfg.namespace_);
    int rc = streams ? 0 : -1;
    add_known(s, queues);
    json_array_foreach(streams, i, info) {
        const json_t *config = json_object_get(info, "config");
        if (rc == 0 && !strcmp(site_text(config, "description"), ours) &&
            !has_stream(queues, site_text(config, "name")))
            rc = add_consumers(s, queues, config, err);
    }
    free(ours);
    json_decref(streams);
    if (rc == 0)
        return queues;
    json_decref(queues);
    return NULL;
}
