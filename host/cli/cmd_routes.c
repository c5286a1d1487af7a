/* SPDX-License-Identifier: MIT */
#include "base/clock.h"
#include "base/jsonval.h"
#include "cli/cli.h"
#include "cli/table.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct table_column columns[] = {
    {"kind", "KIND", TABLE_TEXT}, {"path", "PATH", TABLE_ID},
    {"queue", "QUEUE", TABLE_ID}, {"middleware", "MIDDLEWARE", TABLE_TEXT},
    {"file", "FILE", TABLE_ID},   {0},
};
static const struct table_column columns_of_crons[] = {
    {"kind", "KIND", TABLE_TEXT},
    {"path", "PATH", TABLE_ID},
    {"spec", "WHEN", TABLE_ID},
    {"tz", "ZONE", TABLE_ID},
    {"next", "NEXT", TABLE_AGE},
    {"file", "FILE", TABLE_ID},
    {0},
};

/* Where to look: from here, not from the app's folder. */
static json_t *place(const struct cli *c, const char *file) {
    char *path = xasprintf("%s/%s", c->cfg.app_dir, file);
    json_t *v = json_string(path);
    free(path);
    return v;
}

/* "app.lua:13, auth.lua:5": a cell for people. */
static json_t *joined(const char *list) {
    json_t *places = jsonval_read(list, strlen(list), NULL), *one;
    struct buf out = {0};
    size_t i;
    json_array_foreach(places, i, one) {
        buf_printf(&out, "%s%s", i ? ", " : "", json_string_value(one));
    }
    json_t *v = json_string(out.p ? out.p : "");
    json_decref(places);
    buf_free(&out);
    return v;
}

static json_t *operation(const struct cli *c, const struct gen *g, const struct gen_op *op) {
    char *path = xasprintf("%s.%s", g->queues[op->queue].subject, op->path);
    json_t *middleware = cli_flag(c, "--json")
                             ? jsonval_read(op->middleware, strlen(op->middleware), NULL)
                             : joined(op->middleware);
    json_t *row = json_pack("{s:s,s:s,s:s,s:s?,s:o,s:I,s:o}", "kind",
                            op->type == OP_QUERY ? "query" : "mutation", "path", path, "queue",
                            op->queue_name, "name", op->name, "middleware", middleware, "timeout",
                            (json_int_t)op->timeout_ms, "file", place(c, op->file));
    free(path);
    return row;
}

static json_t *cron(const struct gen_cron *k) {
    int64_t next = cronspec_next(&k->spec, k->zone, clock_wall_ms() / 1000);
    return json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:o,s:s}", "kind", "cron", "path", k->subject,
                     "name", k->name, "spec", k->spec_text, "tz", k->tz, "missed", k->missed,
                     "next", next < 0 ? json_null() : json_integer(next * 1000), "file", k->file);
}

static json_t *crons_of(const struct gen *g) {
    json_t *rows = json_array();
    for (int i = 0; i < g->n_crons; i++)
        json_array_append_new(rows, cron(&g->crons[i]));
    return rows;
}

int cmd_routes(struct cli *c) {
    struct gen *g = cli_app(c);
    if (!g)
        return 1;
    json_t *rows = json_array(), *crons = crons_of(g);
    for (int i = 0; i < g->n_ops; i++)
        json_array_append_new(rows, operation(c, g, &g->ops[i]));
    bool apart = !cli_flag(c, "--json") && json_array_size(crons); /* they have other columns */
    if (!apart) {
        json_array_extend(rows, crons);
        json_decref(crons);
    }
    int rc = cli_list(c, rows, columns, "no operations: app:mutation and app:query define them");
    if (apart && !rc) {
        putchar('\n');
        rc = cli_list(c, crons, columns_of_crons, "");
    } else if (apart) {
        json_decref(crons);
    }
    gen_unref(g);
    return rc;
}
