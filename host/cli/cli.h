/* SPDX-License-Identifier: MIT */
/* cli - the commands of `rbf`, one file each; each returns the process's exit code and has printed
 * its own one-line error on standard error. Blocking, main thread. */
#ifndef RBF_CLI_H
#define RBF_CLI_H
#include "base/config.h"

struct cli {
    struct config cfg; /* defaults, environment, flags */
    int argc;          /* arguments behind the command, flags taken out */
    char **argv;
    const char
        *own_flag;      /* value of the flag that only this command has; "" without; NULL: absent */
    const char *share;  /* the folder of lua/ and sql/ */
    char *const *words; /* of a command that hands arguments on: from the first that is no flag */
    int n_words;
};

int cmd_run(struct cli *c);
int cmd_dev(struct cli *c);
int cmd_demo(struct cli *c);
int cmd_db_init(struct cli *c);
int cmd_job_trigger(struct cli *c);
int cmd_exec(struct cli *c);
int cmd_worker(struct cli *c); /* for the supervisor only */

/* "rbf: message" on standard error; returns 1. */
int cli_fail(const char *fmt, ...) PRINTF_LIKE(1, 2);
/* NATS by flags and environment, else of the `rbf dev` that runs in this folder, with its subject
 * prefix: set in c->cfg. The app's folder of that dev goes to *app_dir (NULL allowed), else NULL;
 * the caller frees it. -1 with err when there is neither. */
int cli_find_nats(struct cli *c, char **app_dir, struct err *err);
/* The app's folder: the argument, else what is configured. -1, said, when it is no folder or there
 * is more than one argument. */
int cli_app_dir(struct cli *c);
#endif
