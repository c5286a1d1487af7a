/* SPDX-License-Identifier: MIT */
/* servers - which servers a command talks to. */
#include "cli/cli.h"
#include "ops/services.h"
#include <stdlib.h>
#include <string.h>

static void take(char **into, char **from) {
    free(*into);
    *into = *from;
    *from = NULL;
}

int cli_find_servers(struct cli *c, char *const *server, struct err *err) {
    struct services_dev dev;
    if (*server)
        return 0;
    if (services_find(c->cfg.state_dir, &dev, err))
        return -1;
    take(&c->cfg.nats_url, &dev.nats_url);
    take(&c->cfg.database_url, &dev.database_url);
    if (!*c->cfg.subject_prefix)
        take(&c->cfg.subject_prefix, &dev.subject_prefix);
    if (!strcmp(c->cfg.namespace_, "default"))
        take(&c->cfg.namespace_, &dev.namespace_);
    services_dev_free(&dev);
    return 0;
}
