/* SPDX-License-Identifier: MIT */
/* outbox:list: what is committed and not yet in a stream. */
#include "cli/stored.h"

#define PRESET_LIMIT 50

int cmd_outbox_list(struct cli *c) {
    struct site s;
    struct err err;
    bool more;
    struct stored_outbox all = {.limit = site_limit(c, PRESET_LIMIT)};
    if (all.limit < 0)
        return 1;
    if (c->argc)
        return cli_fail("outbox:list takes no arguments, found '%s'; see rbf outbox:list --help",
                        c->argv[0]);
    if (site_open(&s, c, SITE_DATABASE, &err))
        return cli_fail("%s", err.msg);
    json_t *rows = stored_outbox(&s, &all, &more, &err);
    int code = rows ? cli_list(c, rows, stored_outbox_columns, "the outbox is empty")
                    : cli_fail("%s", err.msg);
    stored_say_more(c, rows && more, all.limit);
    site_close(&s);
    return code;
}
