/* SPDX-License-Identifier: MIT */
#include "pg/pgres.h"
#include "pg/pgparams.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void put_more(struct buf *line, const char *before, const char *text, const char *behind) {
    struct buf more = {0};
    if (!text)
        return;
    pg_one_line(&more, text);
    buf_printf(line, "%s%s%s", before, more.p ? more.p : "", behind);
    buf_free(&more);
}

int pgres_explain(const PGresult *pg, struct err *err) {
    const char *state = PQresultErrorField(pg, PG_DIAG_SQLSTATE);
    const char *primary = PQresultErrorField(pg, PG_DIAG_MESSAGE_PRIMARY);
    const char *detail = PQresultErrorField(pg, PG_DIAG_MESSAGE_DETAIL);
    const char *hint = PQresultErrorField(pg, PG_DIAG_MESSAGE_HINT); /* what was meant, perhaps */
    struct buf line = {0};
    pg_one_line(&line, primary ? primary : PQresultErrorMessage(pg));
    put_more(&line, " (", detail, ")");
    put_more(&line, "; ", hint, "");
    err_set(err, ERR_PG, "%s", line.p ? line.p : "unknown error");
    if (err && state)
        snprintf(err->sqlstate, sizeof err->sqlstate, "%s", state);
    buf_free(&line);
    return -1;
}

bool pgres_is_copy(const PGresult *pg) {
    ExecStatusType s = PQresultStatus(pg);
    return s == PGRES_COPY_IN || s == PGRES_COPY_OUT || s == PGRES_COPY_BOTH;
}

static enum pgres_status status_of(const PGresult *pg) {
    switch (PQresultStatus(pg)) {
    case PGRES_TUPLES_OK:
        return PGRES_ROWS_;
    case PGRES_COMMAND_OK:
    case PGRES_EMPTY_QUERY:
        return PGRES_DONE;
    case PGRES_PIPELINE_ABORTED:
        return PGRES_SKIPPED;
    default:
        return PGRES_FAILED;
    }
}

void pgres_set(struct pgres *r, PGresult *pg) {
    pgres_free(r);
    r->pg = pg;
    r->status = status_of(pg);
    if (r->status != PGRES_FAILED)
        return;
    r->err = xcalloc(1, sizeof *r->err);
    pgres_explain(pg, r->err);
}

void pgres_free(struct pgres *r) {
    PQclear(r->pg);
    free(r->err);
    *r = (struct pgres){0};
}

enum pgres_status pgres_status(const struct pgres *r) {
    return r->status;
}

int pgres_rows(const struct pgres *r) {
    return PQntuples(r->pg);
}

int pgres_cols(const struct pgres *r) {
    return PQnfields(r->pg);
}

const char *pgres_col_name(const struct pgres *r, int col) {
    return PQfname(r->pg, col);
}

unsigned pgres_col_oid(const struct pgres *r, int col) {
    return PQftype(r->pg, col);
}

const char *pgres_value(const struct pgres *r, int row, int col, size_t *len) {
    bool null = PQgetisnull(r->pg, row, col); /* also when there is no such row or column */
    if (len)
        *len = null ? 0 : (size_t)PQgetlength(r->pg, row, col);
    return null ? NULL : PQgetvalue(r->pg, row, col);
}

int64_t pgres_affected(const struct pgres *r) {
    return strtoll(PQcmdTuples(r->pg), NULL, 10);
}

bool pgres_committed(const struct pgres *r) {
    return PQresultStatus(r->pg) == PGRES_COMMAND_OK && strcmp(PQcmdStatus(r->pg), "COMMIT") == 0;
}

const struct err *pgres_err(const struct pgres *r) {
    return r->err;
}

int pgres_params(const struct pgres *r) {
    return PQnparams(r->pg);
}

unsigned pgres_param_oid(const struct pgres *r, int param) {
    return PQparamtype(r->pg, param);
}

const char *pgres_constraint(const struct pgres *r) {
    return PQresultErrorField(r->pg, PG_DIAG_CONSTRAINT_NAME);
}
