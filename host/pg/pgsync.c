/* SPDX-License-Identifier: MIT */
#include "pg/pgsync.h"
#include "base/log.h"
#include "pg/pgparams.h"
#include "pg/pgres.h"
#include <stdlib.h>

struct pgsync {
    PGconn *pg;
};

static void on_notice(void *arg, const PGresult *r) {
    log_debug("notice of PostgreSQL",
              LOG_S("notice", PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY)));
}

struct pgsync *pgsync_open(const char *url, struct err *err) {
    struct pgparams params;
    if (pgparams_make(&params, url, PGPARAMS_COMMAND, err) != 0) {
        pgparams_free(&params);
        return NULL;
    }
    PGconn *pg = PQconnectdbParams(params.keys, params.values, 1);
    pgparams_free(&params);
    PQsetNoticeReceiver(pg, on_notice, NULL);
    if (PQstatus(pg) != CONNECTION_OK) {
        pgparams_explain(PQerrorMessage(pg), err);
        PQfinish(pg);
        return NULL;
    }
    struct pgsync *s = xcalloc(1, sizeof *s);
    s->pg = pg;
    return s;
}

void pgsync_close(struct pgsync *s) {
    if (s)
        PQfinish(s->pg);
    free(s);
}

struct pgres *pgsync_query(struct pgsync *s, const char *sql, int n, const char *const *params,
                           struct err *err) {
    struct pgres *r = xcalloc(1, sizeof *r);
    pgres_set(r, PQexecParams(s->pg, sql, n, NULL, params, NULL, NULL, 0));
    ExecStatusType status = PQresultStatus(r->pg);
    if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK)
        return r;
    pgres_explain(r->pg, err);
    if (PQstatus(s->pg) == CONNECTION_BAD)
        pgparams_explain(PQerrorMessage(s->pg), err);
    pgsync_free(r);
    return NULL;
}

void pgsync_free(struct pgres *r) {
    if (r)
        pgres_free(r);
    free(r);
}

struct pg_conn *pgsync_raw(struct pgsync *s) {
    return s->pg;
}
