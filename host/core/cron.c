/* SPDX-License-Identifier: MIT */
#include "core/cron.h"
#include "base/clock.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "core/after.h"
#include "core/cronsql.h"
#include "core/sweeper.h"
#include <stdlib.h>
#include <string.h>

#define RETRY_MS 1000 /* after a failure */
#define BEATEN_MS 200 /* another worker claimed it: look again, but not in a loop */
#define LOOK_MS 10000 /* at least this often: the database's clock may jump */

struct cron {
    struct host *h;
    struct after *timer;
    bool started, stopped, looking;
    struct pgpool_waiter waiter;
    struct pgconn *conn;
    struct gen *gen;  /* during a look */
    char version[13]; /* registered by this worker; "" */
    int64_t since;    /* as what rbf_cron_versions has it; 0 until known */
    bool deployed;    /* version came by a reload */
    uint64_t beat_ms; /* monotonic: when it is to be said again that it is alive */
    bool beating, in_force;
    struct cronplan plan; /* of the look */
};

static void look(void *arg);

static void arm(struct cron *c, int64_t ms) {
    after_cancel(&c->timer);
    if (c->started && !c->stopped)
        c->timer = after_ms(c->h->loop, (uint64_t)(ms > 0 ? ms : 0), look, c);
}

/* Three chances to be heard of within a lease. */
static int64_t beat_every(const struct cron *c) {
    int64_t third = c->h->cfg->cron_lease_ms / 3;
    return third < LOOK_MS ? third : LOOK_MS;
}

static int64_t until_beat(const struct cron *c) {
    int64_t in = (int64_t)(c->beat_ms - clock_mono_ms());
    return in > 0 ? in : 0;
}

static void finish(struct cron *c, int64_t next_in) {
    bool changed = strcmp(c->version, c->h->gen->version) != 0;
    cronplan_free(&c->plan);
    gen_unref(c->gen);
    c->gen = NULL;
    if (c->conn)
        pgpool_release(c->h->pool, c->conn);
    c->conn = NULL;
    c->looking = false;
    arm(c, changed ? 0 : next_in < until_beat(c) ? next_in : until_beat(c));
}

/* The first failure of a flight's statements; NULL. */
static const struct err *failure(const struct pgflight *f) {
    const struct err *err = f->lost;
    for (int i = 0; !err && i < f->n; i++)
        err = pgres_err(f->res[i]);
    return err;
}

static void fail(struct cron *c, const struct err *err) {
    log_error("crons cannot be looked after; trying again", LOG_S("error", err->msg));
    finish(c, RETRY_MS);
}

/* --- acting --- */

static void note_done(struct cron *c, const struct cronact *a) {
    const char *name = a->cron ? a->cron->name : a->name;
    if (a->type == CRONACT_REMOVE || a->type == CRONACT_DEFINE)
        log_info(a->type == CRONACT_REMOVE ? "cron removed" : "cron defined", LOG_S("cron", name));
    if (a->type == CRONACT_BACK)
        log_warn("cron: the database's clock went back; counting from now", LOG_S("cron", name));
    if (a->type == CRONACT_SKIP || (a->type == CRONACT_FIRE && a->slot != a->was))
        log_warn("cron: slots were missed", LOG_S("cron", name), LOG_I("first", a->was),
                 LOG_S("fired", a->type == CRONACT_SKIP ? "none" : "the latest"));
    if (a->type != CRONACT_FIRE)
        return;
    c->h->stats.crons++;
    log_debug("cron fired", LOG_S("cron", name), LOG_I("slot", a->slot));
    if (!FAILPOINT("cron.after_claim")) /* else: left to whichever sweeper comes by */
        sweeper_arm(c->h->sweeper, a->slot);
}

static void on_acted(struct pgconn *conn, const struct pgflight *f, void *arg) {
    struct cron *c = arg;
    const struct err *err = failure(f);
    int done = 0;
    for (int i = 0; !f->lost && i < f->n; i++) {
        const struct cronact *a = &c->plan.acts[i];
        bool did = pgres_status(f->res[i]) == PGRES_ROWS_ && pgres_rows(f->res[i]) > 0;
        done += did;
        if (did)
            note_done(c, a);
    }
    if (err)
        fail(c, err);
    else
        finish(c, done ? 0 : BEATEN_MS);
}

static void act(struct cron *c) {
    const struct cronsql q = {c->conn, c->h->cfg, c->gen->version};
    for (int i = 0; i < c->plan.n; i++)
        cronsql_add(&q, &c->plan.acts[i]);
    pgconn_send(c->conn, on_acted, c);
}

/* --- looking --- */

static void take_since(struct cron *c, const struct pgres *res) {
    c->since = strtoll(pgres_value(res, 0, 0, NULL), NULL, 10);
    c->deployed = false;
    c->beat_ms = clock_mono_ms() + (uint64_t)beat_every(c);
}

static void note_force(struct cron *c, bool in_force) {
    if (in_force != c->in_force && (c->gen->n_crons || c->in_force))
        log_info(in_force ? "this version's crons are in force"
                          : "a newer version's crons are in force",
                 LOG_S("version", c->gen->version), LOG_I("crons", c->gen->n_crons));
    c->in_force = in_force;
}

static void on_looked(struct pgconn *conn, const struct pgflight *f, void *arg) {
    struct cron *c = arg;
    const struct err *err = failure(f);
    if (err) {
        fail(c, err);
        return;
    }
    if (c->beating)
        take_since(c, f->res[0]);
    const struct pgres *state = f->res[f->n - 2], *rows = f->res[f->n - 1];
    const char *winner = pgres_value(state, 0, 1, NULL);
    note_force(c, winner && !strcmp(winner, c->gen->version));
    if (!c->in_force || c->stopped) {
        finish(c, LOOK_MS);
        return;
    }
    int64_t now = strtoll(pgres_value(state, 0, 0, NULL), NULL, 10);
    struct cronrow *list = cronsql_rows(rows);
    int64_t next_in =
        cronplan_make(&c->plan, c->gen, c->h->cfg->subject_prefix, now, list, pgres_rows(rows));
    free(list);
    if (!c->plan.n)
        finish(c, next_in < LOOK_MS ? next_in : LOOK_MS);
    else if (FAILPOINT("cron.before_claim"))
        finish(c, BEATEN_MS);
    else
        act(c);
}

static void on_conn(struct pgconn *conn, const struct err *err, void *arg) {
    struct cron *c = arg;
    c->conn = conn;
    if (!conn) {
        c->looking = false;
        gen_unref(c->gen);
        c->gen = NULL;
        return;
    }
    const struct cronsql q = {conn, c->h->cfg, c->gen->version};
    c->beating = !c->since || !until_beat(c);
    if (c->beating)
        cronsql_beat(&q, c->since, c->deployed, (int64_t)(clock_mono_ms() - c->h->deployed_ms));
    cronsql_look(&q);
    pgconn_send(conn, on_looked, c);
}

/* A version that this process has changed to was deployed now; one that it began with may have been
 * here before it. */
static void take_version(struct cron *c) {
    if (!strcmp(c->version, c->gen->version))
        return;
    c->deployed = c->version[0] != 0;
    c->since = 0;
    c->in_force = false;
    memcpy(c->version, c->gen->version, sizeof c->version);
}

static void look(void *arg) {
    struct cron *c = arg;
    c->timer = NULL;
    if (!pgpool_up(c->h->pool)) {
        arm(c, RETRY_MS);
        return;
    }
    c->looking = true;
    c->gen = gen_ref(c->h->gen);
    take_version(c);
    pgpool_acquire(c->h->pool, &c->waiter, 0, on_conn, c);
}

/* --- life --- */

struct cron *cron_new(struct host *h) {
    struct cron *c = xcalloc(1, sizeof *c);
    c->h = h;
    return c;
}

void cron_start(struct cron *c) {
    c->started = c->h->cfg->cron;
    arm(c, 0);
}

void cron_wake(struct cron *c) {
    if (!c->looking)
        arm(c, 0);
}

void cron_stop(struct cron *c) {
    c->stopped = true;
    after_cancel(&c->timer);
}

bool cron_idle(const struct cron *c) {
    return !c->looking;
}

void cron_delete(struct cron *c) {
    if (!c)
        return;
    after_cancel(&c->timer);
    cronplan_free(&c->plan);
    gen_unref(c->gen);
    free(c);
}
