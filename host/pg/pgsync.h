/* SPDX-License-Identifier: MIT */
/* pgsync - one blocking connection, for commands and migrations; never on the loop. */
#ifndef RBF_PGSYNC_H
#define RBF_PGSYNC_H
#include "pg/pgconn.h"

struct pgsync;
struct pg_conn; /* libpq's, for pg/ itself */

/* NULL with err: the server without its secrets, what happened, what to do. */
struct pgsync *pgsync_open(const char *url, struct err *err) NODISCARD;
void pgsync_close(struct pgsync *s); /* NULL is allowed */
/* One statement with text parameters (NULL entries are SQL NULL): its result, read with pgres_rows
 * and pgres_value, freed by pgsync_free; or NULL with err (ERR_PG: sqlstate). */
struct pgres *pgsync_query(struct pgsync *s, const char *sql, int n, const char *const *params,
                           struct err *err) NODISCARD;
void pgsync_free(struct pgres *r); /* NULL is allowed */
struct pg_conn *pgsync_raw(struct pgsync *s);
#endif
