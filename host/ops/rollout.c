/* SPDX-License-Identifier: MIT */
#include "ops/rollout.h"
#include "base/clock.h"
#include "base/log.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOAD_MS 30000

static struct generation *generation_new(uint32_t number, struct tree *tree) {
    struct generation *g = xcalloc(1, sizeof *g);
    *g = (struct generation){.number = number, .tree = tree, .begun_ms = clock_mono_ms()};
    tree_pack(tree, &g->packed);
    return g;
}

static void generation_delete(struct generation *g) {
    if (!g)
        return;
    tree_delete(g->tree);
    buf_free(&g->packed);
    free(g->describe);
    free(g);
}

static void ask(struct workerproc *w, const struct generation *g) {
    w->asked = g->number;
    w->asked_ms = clock_mono_ms();
    workerproc_send(w, CTL_PREPARE, g->number, g->packed.p, g->packed.len);
}

static void commit_to(struct workerproc *w, const struct generation *g) {
    char since[24];
    int n = snprintf(since, sizeof since, "%" PRIu64, g->begun_ms);
    w->built = 0;
    w->committed = g->number;
    workerproc_send(w, CTL_COMMIT, g->number, since, (size_t)n);
}

static bool is_current(const struct rollout *r, const struct workerproc *w) {
    return !r->live || w->committed == r->live->number;
}

/* Gives a worker with nothing to answer what it lacks: the live generation, then the next. */
static void settle(struct rollout *r, struct workerproc *w) {
    if (!w->pid || w->asked || w->built || w->live != w->committed)
        return;
    if (!is_current(r, w))
        ask(w, r->live);
    else if (r->next && w->votes)
        ask(w, r->next);
}

static void settle_all(struct rollout *r) {
    for (int i = 0; i < r->n; i++)
        settle(r, &r->workers[i]);
}

static void refuse(struct rollout *r, const char *message) {
    struct generation *g = r->next;
    for (int i = 0; i < r->n; i++) {
        struct workerproc *w = &r->workers[i];
        w->votes = false;
        if (w->built != g->number)
            continue;
        w->built = 0;
        workerproc_send(w, CTL_ABORT, g->number, NULL, 0);
    }
    /* Gone before the call, so that the callee may begin another. */
    r->next = NULL;
    r->on_refused(r, g, message, r->arg);
    generation_delete(g);
    settle_all(r);
}

static void commit(struct rollout *r) {
    generation_delete(r->live);
    r->live = r->next;
    r->next = NULL;
    r->told = false;
    for (int i = 0; i < r->n; i++) {
        struct workerproc *w = &r->workers[i];
        w->votes = false;
        if (w->built == r->live->number)
            commit_to(w, r->live);
    }
    settle_all(r);
}

/* Have all who vote on next built it? */
static void decide(struct rollout *r) {
    int voters = 0, built = 0;
    for (int i = 0; r->next && i < r->n; i++) {
        voters += r->workers[i].votes;
        built += r->workers[i].votes && r->workers[i].built == r->next->number;
    }
    if (voters > 0 && built == voters)
        commit(r);
    else if (voters == 0 && r->next && r->live)
        refuse(r, "every worker died while it loaded the new version");
}

bool rollout_begin(struct rollout *r, struct tree *tree) {
    bool anyone = false;
    for (int i = 0; i < r->n; i++)
        if (r->next || r->workers[i].live != r->workers[i].committed)
            return false;
    for (int i = 0; i < r->n; i++) {
        struct workerproc *w = &r->workers[i];
        w->votes = w->pid && is_current(r, w);
        anyone |= w->votes;
    }
    if (!anyone)
        return false;
    r->next = generation_new(++r->last_number, tree);
    settle_all(r);
    return true;
}

void rollout_worker_started(struct rollout *r, struct workerproc *w) {
    w->votes = r->next && !r->live;
    settle(r, w);
}

void rollout_worker_gone(struct rollout *r, struct workerproc *w) {
    w->votes = false;
    decide(r);
}

static void on_prepared(struct rollout *r, struct workerproc *w, const struct ctl_frame *f) {
    struct generation *g = r->next && f->number == r->next->number   ? r->next
                           : r->live && f->number == r->live->number ? r->live
                                                                     : NULL;
    if (g && !g->describe)
        g->describe = xmemdup(f->payload, f->len);
    if (g && g == r->next) {
        w->built = f->number;
        decide(r);
        return;
    }
    if (g)
        commit_to(w, g);
    else
        workerproc_send(w, CTL_ABORT, f->number, NULL, 0);
    settle(r, w);
}

static void on_refused(struct rollout *r, struct workerproc *w, const struct ctl_frame *f) {
    char *message = xmemdup(f->payload, f->len);
    if (r->next && f->number == r->next->number) {
        refuse(r, message);
    } else if (r->live && f->number == r->live->number) {
        log_error("a worker refused the version that is live, starting it again",
                  LOG_I("worker", w->slot), LOG_S("error", message));
        workerproc_kill(w);
    } else {
        settle(r, w);
    }
    free(message);
}

static void on_serving(struct rollout *r, struct workerproc *w, uint32_t number) {
    bool all = r->live && !r->told;
    if (!w->live)
        w->live_ms = clock_mono_ms();
    w->live = number;
    for (int i = 0; all && i < r->n; i++)
        all = r->workers[i].live == r->live->number;
    if (all) {
        r->told = true;
        r->on_live(r, r->arg);
    }
    settle(r, w);
}

void rollout_frame(struct rollout *r, struct workerproc *w, const struct ctl_frame *f) {
    if ((f->type == CTL_PREPARED || f->type == CTL_REFUSED) && f->number == w->asked)
        w->asked = 0;
    switch (f->type) {
    case CTL_PREPARED:
        on_prepared(r, w, f);
        break;
    case CTL_REFUSED:
        on_refused(r, w, f);
        break;
    case CTL_LIVE:
        on_serving(r, w, f->number);
        break;
    default:
        break;
    }
}

void rollout_tick(struct rollout *r) {
    uint64_t now = clock_mono_ms();
    for (int i = 0; i < r->n; i++) {
        struct workerproc *w = &r->workers[i];
        if (!w->pid || !w->asked || now - w->asked_ms < LOAD_MS)
            continue;
        log_error("a worker did not load the app within 30 s, killing it",
                  LOG_I("worker", w->slot));
        workerproc_kill(w);
        if (r->next && w->asked == r->next->number)
            refuse(r, "loading took longer than 30 s: is there a loop at the top of a file?");
    }
}

void rollout_free(struct rollout *r) {
    generation_delete(r->live);
    generation_delete(r->next);
    r->live = r->next = NULL;
}
