/* SPDX-License-Identifier: MIT */
#include "core/settings.h"
#include "base/log.h"
#include <string.h>

static int check_namespace(const struct config *c, const struct gen *g, struct err *err) {
    for (int i = 0; i < g->n_queues && strcmp(c->namespace_, "default") && !*c->subject_prefix; i++)
        if (!g->queues[i].stream)
            return err_set(err, ERR_CONFIG,
                           "namespace '%s' would share the stream of queue '%s' with the default "
                           "namespace: set subjectPrefix, or give the queue its own `stream` and "
                           "`subject`",
                           c->namespace_, g->queues[i].name);
    return 0;
}

/* The settings of a worker that starts with g now. The caller frees c in any case. */
static int settings_of(const struct gen *g, struct config *c, struct err *err) {
    config_init(c);
    return config_from_env(c, err) ||
           config_from_main_lua(c, g->options, strlen(g->options), err) ||
           check_namespace(c, g, err);
}

int settings_check(const struct gen *g, struct err *err) {
    struct config c;
    int rc = settings_of(g, &c, err);
    config_free(&c);
    return rc ? -1 : 0;
}

void settings_tell(const struct config *running, const struct gen *g) {
    struct config c;
    struct err err;
    struct buf names = {0};
    if (!settings_of(g, &c, &err))
        config_differences(running, &c, &names);
    if (names.len)
        log_warn(
            "main.lua's settings are read at the start only: restart the host for what changed",
            LOG_S("changed", names.p));
    buf_free(&names);
    config_free(&c);
}
