/* SPDX-License-Identifier: MIT */
/* pgconn - one PostgreSQL connection in pipeline mode on a libuv loop. Loop thread only.
 *
 * Statements are collected into a flight and sent together (libpq 15 makes one write for each
 * sync); the callback gets all results at once. A sync ends an implicit transaction and is where
 * the server starts again after an error: what stands between the error and the next sync is
 * skipped. One flight at a time.
 *
 *     pgconn_add(c, "SELECT …", 1, params, 0);  pgconn_sync(c);
 *     pgconn_add(c, "BEGIN ISOLATION LEVEL SERIALIZABLE", 0, NULL, 0);  pgconn_sync(c);
 *     pgconn_send(c, on_begun, task);
 *
 * Statements are prepared once for each connection and kept (by their text, least recently used
 * goes first above 256); 26000, 0A000 ("cached plan must not change result type") and class 42 (its
 * tables have changed) forget the statement, and the next use prepares anew. Any PGRES_COPY_*
 * closes the connection: that flight ends as lost, with a message that names COPY. */
#ifndef RBF_PGCONN_H
#define RBF_PGCONN_H
#include "base/err.h"
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

struct pgconn;
struct pgres; /* one statement's result; borrowed, valid until the flight's callback returns */

enum pgres_status {
    PGRES_ROWS_,   /* rows came (there may be none) */
    PGRES_DONE,    /* no rows: pgres_affected, pgres_committed */
    PGRES_FAILED,  /* pgres_err says why */
    PGRES_SKIPPED, /* an earlier statement before the same sync failed */
};
enum pgres_status pgres_status(const struct pgres *r);
int pgres_rows(const struct pgres *r);
int pgres_cols(const struct pgres *r);
const char *pgres_col_name(const struct pgres *r, int col);
unsigned pgres_col_oid(const struct pgres *r, int col);
/* Text form, NUL-terminated; NULL for SQL NULL. len may be NULL. */
const char *pgres_value(const struct pgres *r, int row, int col, size_t *len);
int64_t pgres_affected(const struct pgres *r);
/* Did COMMIT commit? (In a failed transaction it "succeeds" with the tag ROLLBACK.) */
bool pgres_committed(const struct pgres *r);
/* kind ERR_PG, sqlstate, primary message (and detail in brackets). NULL unless PGRES_FAILED. */
const struct err *pgres_err(const struct pgres *r);
/* Of a statement added with PGADD_DESCRIBE. */
int pgres_params(const struct pgres *r);
unsigned pgres_param_oid(const struct pgres *r, int param);
const char *pgres_constraint(const struct pgres *r); /* of the failed one; NULL when none */

/* What a flight came to. lost is not NULL when the connection broke (kind ERR_PG_LOST) before all
 * results were in: then the outcome of everything in it is unknown, and conn is dead. Kind
 * ERR_INVALID when it was given up because of what a statement is (COPY): it will happen again. */
struct pgflight {
    const struct err *lost;
    uint64_t took_ns;               /* from its sending to this callback */
    int n;                          /* statements added (syncs do not count) */
    const struct pgres *const *res; /* n of them, in order; NULL entries when lost */
};
typedef void (*pgconn_cb)(struct pgconn *c, const struct pgflight *f, void *arg);

/* Opens one connection without blocking; cb once: err NULL when it is ready (type and session
 * options set, pipeline mode on). Session defaults of ours go into startup options: see pgconn.c.
 * Failed: err has the server's message on one line with a cure where one is known, and c is deleted
 * by its owner as always. connect_timeout_ms covers all steps. */
typedef void (*pgconn_ready_cb)(struct pgconn *c, const struct err *err, void *arg);
struct pgconn *pgconn_new(uv_loop_t *loop, const char *url, int connect_timeout_ms,
                          pgconn_ready_cb cb, void *arg) NODISCARD;
/* Called once, from the loop, when the connection breaks while no flight is under way (the server
 * stopped, or an administrator ended it). At most one; NULL takes it away. */
typedef void (*pgconn_dead_cb)(struct pgconn *c, void *arg);
void pgconn_on_dead(struct pgconn *c, pgconn_dead_cb cb, void *arg);
/* Any time, also during a callback of its own; a flight under way gets no callback any more. */
void pgconn_delete(struct pgconn *c);

enum pgadd_flags {
    PGADD_ONCE = 1,     /* not worth keeping: sent unprepared */
    PGADD_DESCRIBE = 2, /* not run: only which types its parameters have (pgres_param_oid) */
    PGADD_OWN = 4,      /* the caller sees to it that the session is left as it was */
};
/* params: n texts, NULL for SQL NULL; copied. sql is copied. Types are inferred by the server. */
void pgconn_add(struct pgconn *c, const char *sql, int n, const char *const *params, int flags);
/* The types of sql's parameters as PGADD_DESCRIBE once found them here, *n of them, valid until the
 * next flight; NULL when that is not known (any more). They stay what they are while the statement
 * is prepared, whatever happens to its tables. */
const unsigned *pgconn_param_types(struct pgconn *c, const char *sql, int *n);
void pgconn_sync(struct pgconn *c);
/* Sends what was added (it must end with a sync; one is added if it does not). cb comes later from
 * the loop, never from inside this call. Callback may start the next flight at once. */
void pgconn_send(struct pgconn *c, pgconn_cb cb, void *arg);
/* Asks the server to cancel the flight under way (from the thread pool); the flight then ends by
 * itself, mostly with 57014. No effect when idle. The next flight waits until the request is over.
 */
void pgconn_cancel(struct pgconn *c);

enum pgtx { PGTX_IDLE, PGTX_OPEN, PGTX_FAILED };
enum pgtx pgconn_tx(const struct pgconn *c); /* as of the last flight's end */
bool pgconn_busy(const struct pgconn *c);    /* a flight is under way */
bool pgconn_dead(const struct pgconn *c);
/* Has a statement perhaps left something in the session (SET, advisory lock, temporary table …)? */
bool pgconn_touched(const struct pgconn *c);
/* What was added as PGADD_OWN has left something there: as if it were touched. */
void pgconn_taint(struct pgconn *c);
/* Does the open transaction perhaps run as another role or with another search_path? */
bool pgconn_scope_changed(const struct pgconn *c);
/* Would another request in the same transaction notice the statement, or suffer from it (a setting,
 * a notification, the end of the transaction)? By its words, on the safe side. */
bool pgconn_keeps_apart(const struct pgconn *c, const char *sql);
int pgconn_backend_pid(const struct pgconn *c);
#endif
