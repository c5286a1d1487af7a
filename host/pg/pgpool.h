/* SPDX-License-Identifier: MIT */
/* pgpool - lends pipeline connections to tasks, one task a connection. Loop thread only. Waiters
 * are served first come, first served; one that waits past its deadline gets ERR_TIMEOUT and never
 * a connection. Connections are opened as needed up to the size; while the server is away one is
 * tried again and again (250 ms doubling to 5 s), one log line when it goes and one when it is
 * back, and waiters wait on. */
#ifndef RBF_PGPOOL_H
#define RBF_PGPOOL_H
#include "base/list.h"
#include "pg/pgconn.h"

struct pgpool;
struct pgpool_waiter; /* embedded below; one request for a connection */

/* conn is lent until pgpool_release(); NULL with err set on failure. Called from the loop, or from
 * inside pgpool_acquire when a connection is idle. */
typedef void (*pgpool_cb)(struct pgconn *conn, const struct err *err, void *arg);
struct pgpool_waiter {
    struct list node; /* private */
    uint64_t deadline_ms;
    pgpool_cb cb;
    void *arg;
};

/* Makes the pool; opens nothing yet. url is copied. */
struct pgpool *pgpool_new(uv_loop_t *loop, const char *url, int size) NODISCARD;
/* w is the caller's, borrowed until the callback or pgpool_forget. deadline_ms: monotonic, 0: none.
 */
void pgpool_acquire(struct pgpool *p, struct pgpool_waiter *w, uint64_t deadline_ms, pgpool_cb cb,
                    void *arg);
void pgpool_forget(struct pgpool *p, struct pgpool_waiter *w); /* gives up waiting; harmless else */
/* Back to the pool: a dead, busy or still-in-transaction connection is closed and replaced (the
 * last is a bug of the caller and logged), and so is one whose session was touched (a setting, an
 * advisory lock, a temporary table): nothing of it reaches the next task. */
void pgpool_release(struct pgpool *p, struct pgconn *conn);
/* Is the server reachable, as far as known? (true until the first failure.) on_change is called on
 * each change; may be NULL. */
bool pgpool_up(const struct pgpool *p);
void pgpool_on_change(struct pgpool *p, void (*cb)(bool up, void *arg), void *arg);
int pgpool_idle(const struct pgpool *p); /* connections a task could have at once, opened or not */
int pgpool_unlent(const struct pgpool *p); /* connections nobody has, opened or not */
void pgpool_delete(struct pgpool *p); /* waiters get ERR_SHUTDOWN; lent connections are closed */
#endif
