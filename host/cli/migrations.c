/* SPDX-License-Identifier: MIT */
/* migrations - one way to apply them, for all commands that do. */
#include "cli/cli.h"
#include "cli/progress.h"
#include "pg/migrate.h"
#include <stdio.h>
#include <stdlib.h>

/* A line for each file that takes long. */
struct line {
    struct progress bar;
    char what[280];
    bool begun;
};

static void on_applying(const char *file, void *arg) {
    struct line *l = arg;
    if (!file) {
        progress_end(&l->bar);
    } else if (l->begun) {
        progress_tick(&l->bar);
    } else {
        snprintf(l->what, sizeof l->what, "applying %s", file);
        l->bar = progress_begin(l->what, 0);
    }
    l->begun = file;
}

int cli_migrate(const struct cli *c, const char *url, struct cli_migrated *n, struct err *err) {
    struct cli_migrated counts = {0};
    struct line line = {0};
    struct migrate_watch watch = {on_applying, &line};
    char *own = xasprintf("%s/sql", c->share);
    char *app = xasprintf("%s/migrations", c->cfg.app_dir);
    int rc = migrate_apply(url, "rbf", own, &watch, &counts.host, err);
    if (!rc)
        rc = migrate_apply(url, "app", app, &watch, &counts.app, err);
    if (n)
        *n = counts;
    free(own);
    free(app);
    return rc;
}
