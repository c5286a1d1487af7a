/* SPDX-License-Identifier: MIT */
/* pgres - one statement's result: what pgconn.h shows of a PGresult. Inside of pg/ only. */
#ifndef RBF_PGRES_H
#define RBF_PGRES_H
#include "pg/pgconn.h"
#include <libpq-fe.h>

struct pgres {
    PGresult *pg; /* NULL until it came */
    enum pgres_status status;
    struct err *err; /* NULL unless PGRES_FAILED */
};

/* Takes pg. */
void pgres_set(struct pgres *r, PGresult *pg);
void pgres_free(struct pgres *r);
bool pgres_is_copy(const PGresult *pg);
/* The server's message on one line: ERR_PG, sqlstate, primary message (detail). Returns -1. */
int pgres_explain(const PGresult *pg, struct err *err);
#endif
