/* SPDX-License-Identifier: MIT */
/* doctor: is everything there that a host needs, and if not, what is to be done? */
#include "base/clock.h"
#include "cli/doctor.h"
#include "cli/table.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char *const words[] = {"ok", "warning", "problem"};

void doctor_add(struct doctor *d, enum doctor_state state, const char *check, const char *cure,
                const char *fmt, ...) {
    char found[1200];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(found, sizeof found, fmt, ap);
    va_end(ap);
    d->problems += state == DOCTOR_PROBLEM;
    d->warnings += state == DOCTOR_WARNING;
    json_array_append_new(d->findings,
                          json_pack("{s:s, s:s, s:s, s:s*}", "check", check, "state", words[state],
                                    "found", found, "cure", cure && *cure ? cure : NULL));
}

/* --- the app --- */

static void check_app(struct doctor *d) {
    struct cli *c = d->site.c;
    struct stat st;
    struct err err;
    if (stat(c->cfg.app_dir, &st) || !S_ISDIR(st.st_mode)) {
        doctor_add(d, DOCTOR_WARNING, "app",
                   "name its folder, as in `rbf doctor handlers`, so that its queues are known",
                   "no folder %s", c->cfg.app_dir);
        return;
    }
    d->site.gen = cli_load(c, &err);
    if (!d->site.gen)
        doctor_add(d, DOCTOR_PROBLEM, "app", "mend that line; `rbf check` says whether it loads",
                   "%s", err.msg);
    else
        doctor_add(d, DOCTOR_OK, "app", NULL, "%s loads: %d operation%s on %d queue%s, version %s",
                   c->cfg.app_dir, d->site.gen->n_ops, d->site.gen->n_ops == 1 ? "" : "s",
                   d->site.gen->n_queues, d->site.gen->n_queues == 1 ? "" : "s",
                   d->site.gen->version);
}

/* --- reaching the servers --- */

static void check_database(struct doctor *d) {
    const struct config *cfg = &d->site.c->cfg;
    struct err err;
    if (!cfg->database_url) {
        doctor_add(d, DOCTOR_PROBLEM, "PostgreSQL",
                   "set DATABASE_URL, pass --database-url, or start `rbf dev` in this folder",
                   "no server is named, and no `rbf dev` runs here");
        return;
    }
    d->site.pg = pgsync_open(cfg->database_url, &err);
    if (!d->site.pg) {
        doctor_add(d, DOCTOR_PROBLEM, "PostgreSQL",
                   "start it, or mend DATABASE_URL; psql with the same URL tells more", "%s",
                   err.msg);
        return;
    }
    doctor_postgres(d);
    doctor_tables(d);
}

static void check_nats(struct doctor *d) {
    if (!d->site.c->cfg.nats_url) {
        doctor_add(d, DOCTOR_PROBLEM, "NATS",
                   "set NATS_URL, pass --nats-url, or start `rbf dev` in this folder",
                   "no server is named, and no `rbf dev` runs here");
        return;
    }
    doctor_nats(d);
    if (d->site.js)
        doctor_queues(d);
}

/* --- what comes out --- */

static void print(const struct doctor *d) {
    size_t i;
    json_t *f;
    bool colours = table_colours();
    int width = 0;
    json_array_foreach(d->findings, i, f) {
        int n = (int)strlen(site_text(f, "check"));
        width = n > width ? n : width;
    }
    json_array_foreach(d->findings, i, f) {
        const char *state = site_text(f, "state"), *cure = site_text(f, "cure");
        printf("%s%-8s%s %-*s  %s\n", colours ? table_state_colour(state) : "", state,
               colours ? TABLE_PLAIN : "", width, site_text(f, "check"), site_text(f, "found"));
        if (*cure)
            printf("         %-*s  → %s\n", width, "", cure);
    }
    if (d->problems + d->warnings)
        printf("\n%d problem%s, %d warning%s\n", d->problems, d->problems == 1 ? "" : "s",
               d->warnings, d->warnings == 1 ? "" : "s");
    else
        puts("\nall is well");
}

static int tell(struct doctor *d) {
    int code = d->problems > 0;
    if (cli_flag(d->site.c, "--json"))
        return cli_list(d->site.c, json_incref(d->findings), NULL, NULL) || code;
    print(d);
    return code;
}

int cmd_doctor(struct cli *c) {
    struct err err;
    if (c->argc > 1)
        return cli_fail("one APP_DIR at most, found '%s' too; see rbf doctor --help", c->argv[1]);
    (void)!site_find_servers(c, &err);
    if (c->argc == 1 && config_set(&c->cfg, "appDir", c->argv[0], CONFIG_FLAG, &err))
        return cli_fail("%s", err.msg);
    struct doctor d = {.site = {.c = c}, .findings = json_array()};
    check_app(&d);
    check_database(&d);
    check_nats(&d);
    doctor_redis(&d);
    int code = tell(&d);
    json_decref(d.findings);
    site_close(&d.site);
    return code;
}
