/* SPDX-License-Identifier: MIT */
#include "cli/cli.h"
#include "ops/services.h"

int cli_find_nats(struct cli *c, char **app_dir, struct err *err) {
    struct services_dev dev;
    if (app_dir)
        *app_dir = NULL;
    if (c->cfg.nats_url)
        return 0;
    if (services_find(c->cfg.state_dir, &dev, err))
        return -1;
    int rc = config_set(&c->cfg, "natsUrl", dev.nats_url, CONFIG_FLAG, err);
    if (!rc && !*c->cfg.subject_prefix && *dev.subject_prefix)
        rc = config_set(&c->cfg, "subjectPrefix", dev.subject_prefix, CONFIG_FLAG, err);
    if (app_dir && *dev.app_dir)
        *app_dir = xstrdup(dev.app_dir);
    services_dev_free(&dev);
    return rc;
}
