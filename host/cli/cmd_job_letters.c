/* SPDX-License-Identifier: MIT */
/* job:replay, job:discard, job:cancel: what people do with work that waits or died. */
#include "cli/cli.h"
#include "cli/progress.h"
#include "core/letters.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ID, --group FP or --all: exactly one of them. */
static int read_choice(const struct cli *c, const char *command, struct letter_choice *out) {
    *out = (struct letter_choice){.id = c->argc == 1 ? c->argv[0] : NULL,
                                  .fingerprint = cli_flag(c, "--group"),
                                  .all = cli_flag(c, "--all") != NULL};
    if (c->argc <= 1 && (out->id != NULL) + (out->fingerprint != NULL) + out->all == 1)
        return 0;
    return cli_fail("usage: rbf %s ID | --group FINGERPRINT | --all (one of them; ids and "
                    "fingerprints: rbf queue:inspect QUEUE --dead)",
                    command);
}

static struct pgsync *open_database(struct cli *c) {
    struct err err;
    struct pgsync *s = NULL;
    if (cli_find_servers(c, &c->cfg.database_url, &err) ||
        !(s = pgsync_open(c->cfg.database_url, &err)))
        cli_fail("%s", err.msg);
    return s;
}

static int none(const struct letter_choice *w) {
    if (w->all)
        return puts("no dead letters") < 0;
    return cli_fail("no dead letter has the %s %s (or it was replayed already)",
                    w->id ? "id or request id" : "fingerprint", w->id ? w->id : w->fingerprint);
}

static int print_replayed(const struct letter_choice *w, const struct letter_counts *n) {
    if (!(n->replayed + n->succeeded + n->refused))
        return none(w);
    printf("%" PRId64 " sent again", n->replayed);
    if (n->succeeded)
        printf(", %" PRId64 " had succeeded meanwhile and are resolved", n->succeeded);
    if (n->refused)
        printf(", %" PRId64 " left: their payload is no JSON that a handler could get", n->refused);
    putchar('\n');
    return n->refused > 0;
}

static void on_step(void *arg) {
    progress_step(arg);
}

static int replay(struct cli *c, struct pgsync *s, struct letter_choice *which) {
    struct letter_counts n;
    struct err err;
    int64_t total = 1;
    if (which->id == NULL && letters_count(s, c->cfg.namespace_, which, &total, &err))
        return cli_fail("%s", err.msg);
    struct progress bar = progress_begin("sending again", total);
    which->step = on_step;
    which->arg = &bar;
    int rc = letters_replay(s, c->cfg.namespace_, which, &n, &err);
    progress_end(&bar);
    return rc ? cli_fail("%s", err.msg) : print_replayed(which, &n);
}

int cmd_job_replay(struct cli *c) {
    struct letter_choice which;
    if (cli_flag(c, "--dry-run"))
        return cmd_job_dry_run(c);
    if (cli_flag(c, "--json") || cli_flag(c, "--allow-http"))
        return cli_fail("--json and --allow-http go with --dry-run");
    if (read_choice(c, "job:replay", &which))
        return 1;
    struct pgsync *s = open_database(c);
    if (!s)
        return 1;
    int rc = replay(c, s, &which);
    pgsync_close(s);
    return rc;
}

int cmd_job_discard(struct cli *c) {
    struct letter_choice which;
    struct err err;
    int64_t n;
    if (read_choice(c, "job:discard", &which))
        return 1;
    struct pgsync *s = open_database(c);
    if (!s)
        return 1;
    int rc = 0;
    if (letters_discard(s, c->cfg.namespace_, &which, &n, &err))
        rc = cli_fail("%s", err.msg);
    else if (!n)
        rc = none(&which);
    else
        printf("%" PRId64 " discarded\n", n);
    pgsync_close(s);
    return rc;
}

int cmd_job_cancel(struct cli *c) {
    struct err err;
    bool cancelled;
    if (c->argc != 1)
        return cli_fail("usage: rbf job:cancel ID, the id of a job or of its request");
    struct pgsync *s = open_database(c);
    if (!s)
        return 1;
    int rc = 0;
    if (letters_cancel(s, c->cfg.namespace_, c->argv[0], &cancelled, &err))
        rc = cli_fail("%s", err.msg);
    else if (cancelled)
        puts("cancelled: it will never run");
    else
        rc = cli_fail("%s does not wait for its time: it is due, under way, done or unknown",
                      c->argv[0]);
    pgsync_close(s);
    return rc;
}
