/* SPDX-License-Identifier: MIT */
#include "cli/cli.h"
#include "cli/table.h"
#include "pg/migrate.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Flags, environment, a `rbf dev` of this app, main.lua. The caller's; NULL with err. */
static char *find_database(struct cli *c, struct err *err) {
    char *url = c->cfg.database_url ? xstrdup(c->cfg.database_url) : cli_dev_database(c);
    struct gen *g = url ? NULL : cli_load(c, err);
    if (!g)
        return url;
    gen_unref(g);
    if (!c->cfg.database_url)
        err_set(err, ERR_CONFIG,
                "no database: set DATABASE_URL, pass --database-url URL, or start `rbf dev %s` "
                "in this folder",
                c->cfg.app_dir);
    return xstrdup(c->cfg.database_url);
}

/* --- --status and --dry-run --- */

struct listing {
    json_t *rows;
    bool pending_only;
};

static void add(const struct migrate_file *f, void *arg) {
    static const char *const words[] = {[MIGRATE_APPLIED] = "applied",
                                        [MIGRATE_PENDING] = "pending",
                                        [MIGRATE_CHANGED] = "changed",
                                        [MIGRATE_GONE] = "gone"};
    struct listing *l = arg;
    /* a changed file is shown by --dry-run too: it is what would be refused */
    if (l->pending_only && f->state != MIGRATE_PENDING && f->state != MIGRATE_CHANGED)
        return;
    json_t *at = f->applied_at ? json_integer(f->applied_at) : json_null();
    json_array_append_new(l->rows, json_pack("{s:s,s:s,s:s,s:o}", "of",
                                             strcmp(f->owner, "rbf") ? "app" : "host", "file",
                                             f->name, "state", words[f->state], "appliedAt", at));
}

static bool has_changed(const json_t *rows) {
    size_t i;
    json_t *row;
    json_array_foreach(rows, i, row) {
        if (!strcmp(json_string_value(json_object_get(row, "state")), "changed"))
            return true;
    }
    return false;
}

static int list(const struct cli *c, const char *url) {
    static const struct table_column columns[] = {{"of", "OF", TABLE_ID},
                                                  {"file", "FILE", TABLE_ID},
                                                  {"state", "STATE", TABLE_STATE},
                                                  {"appliedAt", "APPLIED", TABLE_TIME},
                                                  {0}};
    struct err err;
    struct listing l = {json_array(), cli_flag(c, "--dry-run") != NULL};
    char *own = xasprintf("%s/sql", c->share), *app = xasprintf("%s/migrations", c->cfg.app_dir);
    struct migrate_list of[] = {{"rbf", own, add, &l}, {"app", app, add, &l}};
    int rc = migrate_list(url, &of[0], &err) || migrate_list(url, &of[1], &err);
    bool changed = !rc && has_changed(l.rows);
    if (rc) {
        json_decref(l.rows);
        cli_fail("%s", err.msg);
    } else if ((rc = cli_list(c, l.rows, columns, "nothing to do: the tables are up to date")) ==
                   0 &&
               changed) {
        rc = cli_fail("a file was changed after it was applied: restore it, and add a new file "
                      "for the change");
    }
    free(own);
    free(app);
    return rc;
}

/* --- the real thing --- */

static int apply(const struct cli *c, const char *url) {
    struct cli_migrated n;
    struct err err;
    if (cli_migrate(c, url, &n, &err))
        return cli_fail("%s", err.msg);
    if (n.host + n.app)
        printf("%d applied: %d of the host, %d of the app\n", n.host + n.app, n.host, n.app);
    else
        puts("nothing to do: the tables are up to date");
    return 0;
}

int cmd_db_migrate(struct cli *c) {
    struct err err;
    bool looks = cli_flag(c, "--status") || cli_flag(c, "--dry-run");
    if (cli_flag(c, "--json") && !looks)
        return cli_fail("--json is for db:migrate --status and --dry-run, which list");
    if (cli_app_dir(c))
        return 1;
    char *url = find_database(c, &err);
    if (!url)
        return cli_fail("%s", err.msg);
    int rc = looks ? list(c, url) : apply(c, url);
    free(url);
    return rc;
}
