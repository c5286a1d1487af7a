/* SPDX-License-Identifier: MIT */
#include "core/cronplan.h"
#include "core/cron.h"
#include <stdlib.h>
#include <string.h>

#define FAR_MS (400LL * 24 * 3600 * 1000)
/* A clock that goes back by less is waited for; by more, it had been wrong before. */
#define BACK_MS 3600000

static struct cronact *add(struct cronplan *plan, enum cronact_type type,
                           const struct gen_cron *cron) {
    struct cronact *a = &plan->acts[plan->n++];
    a->type = type;
    a->cron = cron;
    return a;
}

/* The first slot after an instant, both in ms. */
static int64_t after(const struct gen_cron *g, int64_t ms) {
    int64_t slot = cronspec_next(&g->spec, g->zone, ms / 1000);
    return slot < 0 ? ms + FAR_MS : slot * 1000;
}

static bool is_defined(const struct gen_cron *g, const char *path, const char *version,
                       const struct cronrow *row) {
    return row && !strcmp(row->spec, g->spec_text) && !strcmp(row->tz, g->tz) &&
           !strcmp(row->path, path) && !strcmp(row->missed, g->missed) &&
           !strcmp(row->version, version);
}

/* The slot to fire of those from due to now, or one in the future: then none of them. */
static int64_t choose(const struct gen_cron *g, int64_t due, int64_t now) {
    if (due >= now - CRON_GRACE_MS)
        return due;
    if (!strcmp(g->missed, "skip"))
        return after(g, now - CRON_GRACE_MS);
    int64_t last = 1000 * cronspec_last(&g->spec, g->zone, due / 1000, now / 1000);
    return last <= now && last > due ? last : due; /* another tzdata may have made the row */
}

/* 0 when something was added, else the ms until its slot. */
static int64_t plan_row(struct cronplan *plan, const struct gen_cron *g, int64_t now,
                        const struct cronrow *row) {
    struct cronact *a;
    int64_t due = row->next_at;
    if (due > now && row->last_slot <= now + BACK_MS)
        return due - now;
    if (due > now) {
        a = add(plan, CRONACT_BACK, g);
        a->next = after(g, now);
    } else {
        int64_t slot = choose(g, due, now);
        a = add(plan, slot > now ? CRONACT_SKIP : CRONACT_FIRE, g);
        a->slot = slot;
        a->next = slot > now ? slot : after(g, slot);
    }
    a->was = due;
    return 0;
}

static int64_t plan_cron(struct cronplan *plan, const struct gen *g, const struct gen_cron *cron,
                         const char *prefix, int64_t now, const struct cronrow *row) {
    char *path = xasprintf("%s%s", prefix, cron->subject);
    int before = plan->n;
    int64_t in = 0;
    if (is_defined(cron, path, g->version, row)) {
        in = plan_row(plan, cron, now, row);
    } else {
        struct cronact *a = add(plan, CRONACT_DEFINE, cron);
        a->next = after(cron, row && row->last_slot > now && row->last_slot <= now + BACK_MS
                                  ? row->last_slot
                                  : now);
    }
    if (plan->n > before)
        plan->acts[before].path = path;
    else
        free(path);
    return in;
}

static const struct cronrow *row_of(const struct cronrow *rows, int n, const char *name) {
    for (int i = 0; i < n; i++)
        if (!strcmp(rows[i].name, name))
            return &rows[i];
    return NULL;
}

static bool is_known(const struct gen *g, const char *name) {
    for (int i = 0; i < g->n_crons; i++)
        if (!strcmp(g->crons[i].name, name))
            return true;
    return false;
}

int64_t cronplan_make(struct cronplan *plan, const struct gen *g, const char *prefix, int64_t now,
                      const struct cronrow *rows, int n) {
    int64_t least = FAR_MS;
    plan->acts = xcalloc((size_t)(g->n_crons + n) + 1, sizeof *plan->acts);
    for (int i = 0; i < g->n_crons; i++) {
        const struct gen_cron *cron = &g->crons[i];
        int64_t in = plan_cron(plan, g, cron, prefix, now, row_of(rows, n, cron->name));
        least = in < least ? in : least;
    }
    for (int i = 0; i < n; i++)
        if (!is_known(g, rows[i].name))
            add(plan, CRONACT_REMOVE, NULL)->name = xstrdup(rows[i].name);
    return least;
}

void cronplan_free(struct cronplan *plan) {
    for (int i = 0; i < plan->n; i++) {
        free(plan->acts[i].name);
        free(plan->acts[i].path);
    }
    free(plan->acts);
    memset(plan, 0, sizeof *plan);
}
