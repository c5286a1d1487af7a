/* SPDX-License-Identifier: MIT */
#include "cli/letterargs.h"
#include <inttypes.h>
#include <stdio.h>

int cmd_job_discard(struct cli *c) {
    struct letterargs a;
    struct err err;
    int64_t n;
    if (letterargs_begin(&a, c, "job:discard", "discarding"))
        return 1;
    int rc = letters_discard(a.pg, c->cfg.namespace_, &a.which, &n, &err);
    letterargs_end(&a);
    if (rc)
        return cli_fail("%s", err.msg);
    return n ? printf("%" PRId64 " discarded\n", n) < 0 : letterargs_none(&a);
}
