/* SPDX-License-Identifier: MIT */
#include "cli/letterargs.h"
#include <stdio.h>

int cmd_job_cancel(struct cli *c) {
    struct err err;
    bool cancelled;
    if (c->argc != 1)
        return cli_fail("usage: rbf job:cancel ID, the id of a job or of its request");
    struct pgsync *s = letterargs_open(c);
    if (!s)
        return 1;
    int rc = letters_cancel(s, c->cfg.namespace_, c->argv[0], &cancelled, &err);
    pgsync_close(s);
    if (rc)
        return cli_fail("%s", err.msg);
    if (cancelled)
        return puts("cancelled: it will never run") < 0;
    return cli_fail("%s does not wait for its time: it is due, under way, done or unknown",
                    c->argv[0]);
}
