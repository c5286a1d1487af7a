/* SPDX-License-Identifier: MIT */
#include "cli/letterargs.h"
#include <inttypes.h>
#include <stdio.h>

static int tell(const struct letterargs *a, const struct letter_counts *n) {
    if (!(n->replayed + n->succeeded + n->refused))
        return letterargs_none(a);
    printf("%" PRId64 " sent again", n->replayed);
    if (n->succeeded)
        printf(", %" PRId64 " had succeeded meanwhile and are resolved", n->succeeded);
    if (n->refused)
        printf(", %" PRId64 " left: their payload is no JSON that a handler could get", n->refused);
    putchar('\n');
    return n->refused > 0;
}

int cmd_job_replay(struct cli *c) {
    struct letterargs a;
    struct letter_counts n;
    struct err err;
    if (cli_flag(c, "--dry-run"))
        return cmd_job_dry_run(c);
    if (cli_flag(c, "--json") || cli_flag(c, "--allow-http"))
        return cli_fail("--json and --allow-http go with --dry-run");
    if (letterargs_begin(&a, c, "job:replay", "sending again"))
        return 1;
    int rc = letters_replay(a.pg, c->cfg.namespace_, &a.which, &n, &err);
    letterargs_end(&a);
    return rc ? cli_fail("%s", err.msg) : tell(&a, &n);
}
