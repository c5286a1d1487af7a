/* SPDX-License-Identifier: MIT */
#include "cli/letterargs.h"
#include <stdio.h>

/* Exactly one of the three. */
static int read_choice(const struct cli *c, const char *command, struct letter_choice *out) {
    *out = (struct letter_choice){.id = c->argc == 1 ? c->argv[0] : NULL,
                                  .fingerprint = cli_flag(c, "--group"),
                                  .all = cli_flag(c, "--all") != NULL};
    if (c->argc <= 1 && (out->id != NULL) + (out->fingerprint != NULL) + out->all == 1)
        return 0;
    return -cli_fail("usage: rbf %s ID | --group FINGERPRINT | --all (one of them; ids and "
                     "fingerprints: rbf queue:inspect QUEUE --dead)",
                     command);
}

struct pgsync *letterargs_open(struct cli *c) {
    struct err err;
    struct pgsync *s = NULL;
    if (cli_find_servers(c, &c->cfg.database_url, &err) ||
        !(s = pgsync_open(c->cfg.database_url, &err)))
        cli_fail("%s", err.msg);
    return s;
}

static void on_step(void *bar) {
    progress_step(bar);
}

int letterargs_begin(struct letterargs *a, struct cli *c, const char *command, const char *doing) {
    struct err err;
    int64_t total = 1;
    if (read_choice(c, command, &a->which) || !(a->pg = letterargs_open(c)))
        return -1;
    if (!a->which.id && letters_count(a->pg, c->cfg.namespace_, &a->which, &total, &err)) {
        pgsync_close(a->pg);
        return -cli_fail("%s", err.msg);
    }
    a->bar = progress_begin(doing, total);
    a->which.step = on_step;
    a->which.arg = &a->bar;
    return 0;
}

void letterargs_end(struct letterargs *a) {
    progress_end(&a->bar);
    pgsync_close(a->pg);
}

int letterargs_none(const struct letterargs *a) {
    const struct letter_choice *w = &a->which;
    if (w->all)
        return puts("no dead letters") < 0;
    return cli_fail("no dead letter has the %s %s (or it was replayed already)",
                    w->id ? "id or request id" : "fingerprint", w->id ? w->id : w->fingerprint);
}
