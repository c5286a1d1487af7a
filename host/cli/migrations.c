/* SPDX-License-Identifier: MIT */
/* migrations - one way to apply them, for all commands that do. */
#include "cli/cli.h"
#include "pg/migrate.h"
#include <stdlib.h>

int cli_migrate(const struct cli *c, const char *url, struct cli_migrated *n, struct err *err) {
    struct cli_migrated counts = {0};
    char *own = xasprintf("%s/sql", c->share);
    char *app = xasprintf("%s/migrations", c->cfg.app_dir);
    int rc = migrate_apply(url, "rbf", own, &counts.host, err);
    if (!rc)
        rc = migrate_apply(url, "app", app, &counts.app, err);
    if (n)
        *n = counts;
    free(own);
    free(app);
    return rc;
}
