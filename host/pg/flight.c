/* SPDX-License-Identifier: MIT */
#include "pg/flight.h"
#include "base/buf.h"
#include "pg/session.h"
#include <stdlib.h>
#include <string.h>

struct flight *flight_new(void) {
    return xcalloc(1, sizeof(struct flight));
}

void flight_delete(struct flight *f) {
    if (!f)
        return;
    for (int i = 0; i < f->nsteps; i++)
        free(f->steps[i].params);
    for (int i = 0; f->res && i < f->nstmts; i++)
        pgres_free(&f->res[i]);
    free(f->steps);
    free(f->res);
    free(f->out);
    free(f);
}

static struct step *add_step(struct flight *f) {
    if (f->nsteps == f->cap) {
        f->cap = f->cap ? f->cap * 2 : 8;
        f->steps = xrealloc(f->steps, (size_t)f->cap * sizeof *f->steps);
    }
    struct step *s = &f->steps[f->nsteps++];
    *s = (struct step){0};
    return s;
}

/* Statement and parameters in one block, that of s->params. */
static void copy_statement(struct step *s, const char *sql, int n, const char *const *params) {
    size_t bytes = (size_t)n * sizeof(char *) + strlen(sql) + 1;
    for (int i = 0; i < n; i++)
        bytes += params[i] ? strlen(params[i]) + 1 : 0;
    s->params = xmalloc(bytes);
    s->sql = (char *)(s->params + n);
    char *text = stpcpy(s->sql, sql) + 1;
    for (int i = 0; i < n; i++) {
        s->params[i] = params[i] ? text : NULL;
        if (params[i])
            text = stpcpy(text, params[i]) + 1;
    }
}

void flight_add(struct flight *f, const char *sql, int n, const char *const *params, int flags) {
    struct step *s = add_step(f);
    copy_statement(s, sql, n, params);
    s->n = n;
    s->flags = flags;
    f->nstmts++;
}

void flight_sync(struct flight *f) {
    add_step(f);
}

/* With a sync of its own, and never inside a transaction, so that a name the server does not know
 * any more (DISCARD ALL) spoils nothing of the task's. */
static int send_own(struct flight *f, PGconn *pg, struct stmts *stmts) {
    char name[24];
    if (stmts_replan(stmts)) {
        if (!PQsendQueryParams(pg, "DISCARD PLANS", 0, NULL, NULL, NULL, NULL, 0))
            return -1;
        f->own++;
    }
    while (stmts_next_gone(stmts, name)) {
        char sql[48] = "DEALLOCATE ";
        strcat(sql, name);
        if (!PQsendQueryParams(pg, sql, 0, NULL, NULL, NULL, NULL, 0))
            return -1;
        f->own++;
    }
    f->own_sync = f->own > 0;
    return f->own_sync && !PQpipelineSync(pg) ? -1 : 0;
}

/* Which statement to use, if any. One whose Prepare travels before another sync of this flight may
 * be skipped there, or not: neither to use it nor to prepare it again would be safe. */
static struct stmt *choose(const struct step *s, struct stmts *stmts, uint64_t segment) {
    if (s->flags & PGADD_ONCE)
        return NULL;
    struct stmt *st = stmts_get(stmts, s->sql);
    return st && st->state == STMT_SENT && st->segment != segment ? NULL : st;
}

static bool prepare(struct step *s, PGconn *pg, uint64_t segment) {
    if (s->stmt && s->stmt->state != STMT_NEW)
        return true;
    if (!PQsendPrepare(pg, s->stmt ? s->stmt->name : "", s->sql, 0, NULL))
        return false;
    s->preparing = true;
    if (s->stmt) {
        s->stmt->state = STMT_SENT;
        s->stmt->segment = segment;
    }
    return true;
}

static int send_step(struct flight *f, struct step *s, PGconn *pg, struct stmts *stmts,
                     uint64_t segment) {
    s->stmt = choose(s, stmts, segment);
    if (!(s->flags & PGADD_OWN))
        f->touches |= s->stmt ? s->stmt->touches : session_touches(s->sql);
    bool describe = s->flags & PGADD_DESCRIBE, ok;
    if (!s->stmt && !describe)
        ok = PQsendQueryParams(pg, s->sql, s->n, NULL, s->params, NULL, NULL, 0);
    else if (!prepare(s, pg, segment))
        ok = false;
    else if (describe)
        ok = PQsendDescribePrepared(pg, s->stmt ? s->stmt->name : "");
    else
        ok = PQsendQueryPrepared(pg, s->stmt->name, s->n, s->params, NULL, NULL, 0);
    return ok ? 0 : -1;
}

int flight_send(struct flight *f, PGconn *pg, struct stmts *stmts, bool idle) {
    stmts_begin(stmts);
    f->res = xcalloc((size_t)f->nstmts + 1, sizeof *f->res);
    if (idle && send_own(f, pg, stmts) != 0)
        return -1;
    uint64_t segment = 0;
    for (int i = 0; i < f->nsteps; i++) {
        struct step *s = &f->steps[i];
        if (!s->sql)
            segment++;
        int rc = s->sql ? send_step(f, s, pg, stmts, segment) : PQpipelineSync(pg) ? 0 : -1;
        if (rc != 0)
            return -1;
    }
    return 0;
}

bool flight_done(const struct flight *f) {
    return !f->own && !f->own_sync && f->at == f->nsteps;
}

static int out_of_step(struct err *err) {
    return err_set(err, ERR_PG_LOST, "PostgreSQL's answers do not fit the statements sent");
}

/* The server reads or writes COPY data now, which nothing here can end in pipeline mode. */
static int refuse_copy(struct err *err) {
    return err_set(err, ERR_INVALID,
                   "COPY is not possible here: use INSERT … SELECT unnest(…), or psql outside");
}

static int take_sync(struct flight *f, struct err *err) {
    if (f->own_sync && !f->own) {
        f->own_sync = false;
        return 0;
    }
    if (f->own_sync || f->at == f->nsteps || f->steps[f->at].sql)
        return out_of_step(err);
    f->at++;
    return 0;
}

static int take_end(struct flight *f, struct err *err) {
    if (f->own) {
        f->own--;
        return 0;
    }
    if (f->own_sync || f->at == f->nsteps || !f->steps[f->at].sql)
        return out_of_step(err);
    struct step *s = &f->steps[f->at];
    if (s->preparing) {
        s->preparing = false;
        return 0;
    }
    f->at++;
    f->slot++;
    return 0;
}

/* A failed Prepare is its statement's result; the statement itself is skipped after it. */
static void take_prepared(struct flight *f, struct step *s, PGresult *r) {
    bool ok = PQresultStatus(r) == PGRES_COMMAND_OK;
    if (s->stmt)
        s->stmt->state = ok ? STMT_READY : STMT_NEW;
    if (PQresultStatus(r) == PGRES_FATAL_ERROR)
        pgres_set(&f->res[f->slot], r);
    else
        PQclear(r);
}

/* Class 42: it was prepared, so it was right once; a table has changed, and with it perhaps the
 * type that a parameter should have. */
static void forget_if_stale(struct step *s, struct stmts *stmts, const PGresult *r) {
    const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE);
    if (!s->stmt || !state)
        return;
    if (strcmp(state, "26000") == 0)
        stmts_forget(stmts, s->stmt, false);
    else if (strcmp(state, "0A000") == 0 || strncmp(state, "42", 2) == 0)
        stmts_forget(stmts, s->stmt, true);
}

static void keep_types(struct stmt *st, const PGresult *r) {
    st->n_types = PQnparams(r);
    st->types = xrealloc(st->types, ((size_t)st->n_types + 1) * sizeof *st->types);
    for (int i = 0; i < st->n_types; i++)
        st->types[i] = PQparamtype(r, i);
}

static void take_result(struct flight *f, struct stmts *stmts, PGresult *r) {
    struct step *s = &f->steps[f->at];
    if (s->preparing) {
        take_prepared(f, s, r);
        return;
    }
    forget_if_stale(s, stmts, r);
    if (s->stmt && (s->flags & PGADD_DESCRIBE) && PQresultStatus(r) == PGRES_COMMAND_OK)
        keep_types(s->stmt, r);
    if (f->res[f->slot].pg)
        PQclear(r); /* skipped behind its own Prepare */
    else
        pgres_set(&f->res[f->slot], r);
}

int flight_take(struct flight *f, struct stmts *stmts, PGresult *r, struct err *err) {
    if (!r)
        return take_end(f, err);
    bool copy = pgres_is_copy(r);
    if (copy || f->own || PQresultStatus(r) == PGRES_PIPELINE_SYNC) {
        int rc = copy ? refuse_copy(err) : f->own ? 0 : take_sync(f, err);
        PQclear(r);
        return rc;
    }
    if (f->own_sync || f->at == f->nsteps || !f->steps[f->at].sql) {
        PQclear(r);
        return out_of_step(err);
    }
    take_result(f, stmts, r);
    return 0;
}

struct pgflight flight_view(struct flight *f, const struct err *lost) {
    f->out = xcalloc((size_t)f->nstmts + 1, sizeof *f->out);
    for (int i = 0; !lost && i < f->nstmts; i++)
        f->out[i] = &f->res[i];
    return (struct pgflight){.lost = lost, .n = f->nstmts, .res = f->out};
}
