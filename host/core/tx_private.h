/* SPDX-License-Identifier: MIT */
/* tx_private - what the parts of a transaction share: tx.c (its members, up to the last one's end),
 * tx_commit.c (the last flight) and tx_stored.c (a request that had its outcome already). */
#ifndef RBF_TX_PRIVATE_H
#define RBF_TX_PRIVATE_H
#include "core/tx.h"

struct tx {
    struct list node; /* in host.txs */
    struct host *h;
    struct lane *lane; /* NULL: unknown operation */
    struct pgconn *conn;
    struct pgpool_waiter waiter; /* unknown operation */
    struct list members;         /* still to run; the first may be under way */
    struct list ran;             /* ran, to be committed */
    int n;                       /* of both */
    int riding;                  /* first statements in flight 1: its last ones */
    bool early, gathered;        /* the first member's, all members' */
    bool begun;                  /* flight 1 is back */
    bool rolled_back;            /* flight 1 begins with ROLLBACK */
    bool savepoints;
    bool collecting;   /* runs that end are only marked (task.over) */
    uint64_t begun_ns; /* monotonic */
    size_t bytes;      /* of the results so far */
    enum width_end end;
    int stored_status; /* of a stored result, while its caller's middleware is checked */
    struct buf stored;
};

static inline struct task *tx_first(const struct tx *tx) {
    return container_of(tx->members.next, struct task, member);
}
/* Takes a member out, with its run closed, so that it may be handed on. */
struct task *tx_take(struct tx *tx, struct task *t);
/* The same for the only member. */
struct task *tx_take_only(struct tx *tx);
/* No member is left: ends what is left of the transaction, and frees tx. */
void tx_close(struct tx *tx);
/* From flight 1 on with the members that are left, all of them to be run. */
void tx_begin(struct tx *tx);
/* All members run again, each alone. */
void tx_split(struct tx *tx);
/* Serialization failure or deadlock (blocked). */
void tx_conflict(struct tx *tx, bool blocked);
/* The only member failed. */
void tx_failed(struct tx *tx, const struct failure *f);
/* Our own statements failed (err), or nobody knows (NULL): the messages wait until that is mended.
 */
void tx_trouble(struct tx *tx, const struct err *err);

/* All members ran. */
void tx_commit(struct tx *tx);
/* The only member's outcome is row 0 of stored. */
void tx_stored(struct tx *tx, const struct pgres *stored);
#endif
