/* SPDX-License-Identifier: MIT */
/* backlog - since when the oldest due outbox row waits: a gauge (stats.oldest_due_ms, looked at
 * every 5 s), one warning when it passes a minute and one line when that is over. Every worker
 * looks, so that it is told also when nobody sweeps. Loop thread only. */
#ifndef RBF_BACKLOG_H
#define RBF_BACKLOG_H
#include "core/host.h"

struct backlog;

struct backlog *backlog_new(struct host *h) NODISCARD;
void backlog_start(struct backlog *b);
void backlog_stop(struct backlog *b);
void backlog_delete(struct backlog *b);

/* What the outbox looks like, by the database's clock in ms epoch; INT64_MAX: no such row. */
struct backlog_look {
    int64_t now;
    int64_t published; /* no row that may be in a stream already was put there before */
    int64_t due;       /* since when the oldest due row is due */
};
/* Adds the one statement that finds it out; reads its result. */
void backlog_add_look(struct pgconn *c, const struct host *h);
struct backlog_look backlog_read(const struct pgres *res);
#endif
