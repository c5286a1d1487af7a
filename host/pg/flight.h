/* SPDX-License-Identifier: MIT */
/* flight - the statements that travel together, and their results as they come in. Inside of pg/
 * only.
 *
 * libpq answers a statement with its results and then NULL, a Prepare in front of it the same way,
 * and a sync with PGRES_PIPELINE_SYNC alone. So the flight knows what it sent and counts; asking
 * "until NULL" would stop too early or wait for ever. */
#ifndef RBF_FLIGHT_H
#define RBF_FLIGHT_H
#include "pg/pgres.h"
#include "pg/stmts.h"

struct step {
    char *sql;           /* NULL: a sync */
    const char **params; /* one block with all texts */
    int n, flags;
    bool preparing;    /* the next answer is that of the Prepare in front */
    struct stmt *stmt; /* NULL: sent unprepared */
};

struct flight {
    pgconn_cb cb;
    void *arg;
    struct step *steps;
    int nsteps, cap, nstmts; /* nstmts: steps that are not syncs */
    int at;                  /* the step whose answer is due */
    int slot;                /* its index in res, when it is a statement */
    int own;                 /* answers due before step 0 to statements of ours, */
    bool own_sync;           /* and their sync */
    int touches;             /* the session: enum session_touch, of all statements */
    struct pgres *res;
    const struct pgres **out;
};

struct flight *flight_new(void);
void flight_delete(struct flight *f); /* NULL is allowed */
void flight_add(struct flight *f, const char *sql, int n, const char *const *params, int flags);
void flight_sync(struct flight *f);
/* Hands all of it to libpq (not yet to the socket). idle: no transaction is open, so that old
 * statements may be cleared away. -1 when the connection is broken. */
int flight_send(struct flight *f, PGconn *pg, struct stmts *stmts, bool idle);
/* Takes r, what PQgetResult returned. -1 with err (ERR_PG_LOST) when the connection cannot be used
 * any more: COPY, or an answer that fits nothing. */
int flight_take(struct flight *f, struct stmts *stmts, PGresult *r, struct err *err);
bool flight_done(const struct flight *f);
/* All results, or none when lost is not NULL. */
struct pgflight flight_view(struct flight *f, const struct err *lost);
#endif
