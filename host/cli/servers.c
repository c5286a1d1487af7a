/* SPDX-License-Identifier: MIT */
/* servers - which servers a command talks to. */
#include "cli/cli.h"
#include "ops/services.h"
#include <stdlib.h>
#include <string.h>

/* From now on as if a flag had said so: main.lua does not win over it. */
static int take(struct cli *c, const char *name, const char *value, struct err *err) {
    return *value ? config_set(&c->cfg, name, value, CONFIG_FLAG, err) : 0;
}

void cli_private_nats(struct config *c) {
    static const char *const names[] = {"natsCaFile", "natsCertFile", "natsKeyFile",
                                        "natsCredsFile"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        config_forget(c, names[i]);
}

int cli_find_servers(struct cli *c, char *const *server, struct err *err) {
    struct services_dev dev;
    if (*server)
        return 0;
    if (services_find(c->cfg.state_dir, &dev, err))
        return -1;
    if (server == &c->cfg.nats_url)
        cli_private_nats(&c->cfg);
    int rc = take(c, "natsUrl", dev.nats_url, err) ||
             take(c, "databaseUrl", dev.database_url, err) || take(c, "appDir", dev.app_dir, err);
    if (!rc && !*c->cfg.subject_prefix)
        rc = take(c, "subjectPrefix", dev.subject_prefix, err);
    if (!rc && !strcmp(c->cfg.namespace_, "default"))
        rc = take(c, "namespace", dev.namespace_, err);
    services_dev_free(&dev);
    return rc ? -1 : 0;
}

static bool same_folder(const char *a, const char *b) {
    char *x = realpath(a, NULL), *y = realpath(b, NULL);
    bool same = x && y && !strcmp(x, y);
    free(x);
    free(y);
    return same;
}

char *cli_dev_database(const struct cli *c) {
    struct services_dev dev;
    struct err none;
    if (services_find(c->cfg.state_dir, &dev, &none))
        return NULL;
    char *url = same_folder(dev.app_dir, c->cfg.app_dir) ? xstrdup(dev.database_url) : NULL;
    services_dev_free(&dev);
    return url;
}
