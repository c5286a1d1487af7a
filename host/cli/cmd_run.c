/* SPDX-License-Identifier: MIT */
#include "cli/cli.h"
#include "ops/supervisor.h"

int cmd_run(struct cli *c) {
    char *const worker[] = {"rbf", "worker", NULL};
    if (cli_app_dir(c))
        return 1;
    config_export(&c->cfg); /* to the workers, so that no secret stands in their arguments */
    struct supervisor_options o = {
        .app_dir = c->cfg.app_dir,
        .workers = (int)c->cfg.workers,
        .worker_argv = worker,
        .shutdown_timeout_ms = c->cfg.shutdown_timeout_ms + 1000, /* workers say what is left */
        .watch = c->cfg.watch,
    };
    return supervisor_run(&o);
}
