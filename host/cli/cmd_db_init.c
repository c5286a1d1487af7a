/* SPDX-License-Identifier: MIT */
#include "cli/cli.h"
#include "pg/migrate.h"
#include <stdio.h>
#include <stdlib.h>

static int apply(const struct cli *c, const char *dir) {
    struct err err;
    int n = 0;
    if (!c->cfg.database_url)
        return cli_fail("DATABASE_URL is missing: set it, or pass --database-url URL");
    if (migrate_apply(c->cfg.database_url, "rbf", dir, NULL, &n, &err))
        return cli_fail("%s", err.msg);
    printf(n ? "%d migration%s applied\n" : "nothing to do: the tables are up to date\n", n,
           n == 1 ? "" : "s");
    return 0;
}

static int print(const char *dir) {
    struct err err;
    struct buf sql = {0};
    int rc = migrate_print(dir, &sql, &err) ? cli_fail("%s", err.msg) : 0;
    if (!rc)
        fputs(sql.p ? sql.p : "", stdout);
    buf_free(&sql);
    return rc;
}

int cmd_db_init(struct cli *c) {
    if (c->argc)
        return cli_fail("db:init takes no arguments, found '%s'; see rbf --help", c->argv[0]);
    char *dir = xasprintf("%s/sql", c->share);
    int rc = cli_flag(c, "--apply") ? apply(c, dir) : print(dir);
    free(dir);
    return rc;
}
