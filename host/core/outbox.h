/* SPDX-License-Identifier: MIT */
/* outbox - follow-up work: rows written in the transaction, published after its commit, deleted in
 * batches once NATS has stored them. What goes wrong on the way is left to the sweeper. Loop thread
 * only. */
#ifndef RBF_OUTBOX_H
#define RBF_OUTBOX_H
#include "core/task.h"

struct outbox *outbox_new(struct host *h) NODISCARD;
/* Adds the INSERT of the effects of all tasks of a transaction (struct task.member, their runs');
 * nothing when there are none. traceparent and source_request_id are each task's. */
void outbox_add_inserts(struct pgconn *c, const struct list *ran);
/* A row for the message itself, to be published again at target_at as the given attempt. */
void outbox_add_park(struct pgconn *c, const struct task *t, int64_t target_at, int attempt);
/* After COMMIT: publishes t's due effects; arms the sweeper for the others. inserted: the result of
 * that INSERT, which names the rows that are new, in order; *row: the first that is not taken, for
 * the next task. */
void outbox_publish(const struct task *t, const struct pgres *inserted, int *row);
/* A message too large to be published, or NULL: so that it fails before COMMIT. Says which. */
const struct effect *outbox_too_large(const struct host *h, const struct list *effects);
/* Nothing is waiting for a PubAck or to be deleted. */
bool outbox_idle(const struct outbox *o);
void outbox_delete(struct outbox *o);

/* One row on its way to NATS, as effects and the sweeper know it. Strings are borrowed. */
struct outbox_row {
    const char *id, *type, *path, *data, *headers; /* path: full subject; data: JSON or NULL */
    bool spaced;                                   /* data is jsonb's text */
    const char *source; /* for the log: the request that scheduled it; NULL where not at hand */
};
/* A plain publish, taken as delivered when the server has read past it: then cb comes. 0, or -1
 * with err. */
int outbox_send_plain(struct bus *b, const char *subject, const struct hdrs *hd, const char *data,
                      size_t len, int timeout_ms, bus_puback_cb cb, void *arg, struct err *err);
/* Publishes row; cb as of bus_store. 0, or -1 with err (then cb never comes). */
int outbox_send(struct host *h, const struct outbox_row *row, int timeout_ms, bus_puback_cb cb,
                void *arg, struct err *err);
#endif
