/* SPDX-License-Identifier: MIT */
/* tx_private - what the parts of a transaction share: tx.c (from the lane to the end of flight 1,
 * and its end), tx_members.c (what the members come to), tx_commit.c (the last flight) and
 * tx_stored.c (a request that had its outcome already). */
#ifndef RBF_TX_PRIVATE_H
#define RBF_TX_PRIVATE_H
#include "core/turn.h"
#include "core/tx.h"

#define TX_SAVEPOINT "SAVEPOINT rbf_member"
#define TX_MEMBER_TIMEOUT_MS 250 /* beside others; one that takes longer goes on alone */

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
    bool shared;                 /* flight 1 began with others */
    bool impatient;              /* with a short lock timeout */
    bool early, gathered;        /* the first member's, all members' */
    bool begun;                  /* flight 1 is back */
    bool wants_turn;             /* turn.h */
    bool has_turn;               /* or waited in vain, and may have it all the same: to be left */
    int32_t turn;                /* its place, turn_add_take's key */
    int lookup;                  /* where in flight 1 the dedup lookup is */
    bool savepoints;
    bool collecting;   /* runs that end are only marked (task.over) */
    uint64_t begun_ns; /* monotonic */
    size_t bytes;      /* of the results and effects so far */
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
/* Those that ran are members again, in front. */
void tx_unite(struct tx *tx);
void tx_close_runs(struct tx *tx);
/* All members back to the head of the lane, in their order. */
void tx_put_back(struct tx *tx);
/* No member is left: ends what is left of the transaction, and frees tx. */
void tx_close(struct tx *tx);
/* From flight 1 on with the members that are left, all of them to be run. */
void tx_begin(struct tx *tx);
/* Starts its handler. early: up to its first statement. */
void tx_start_member(struct tx *tx, struct task *t, bool early);
void tx_on_ran(struct run *r, enum run_end end);
/* Flight 1 is back: gives the answers to first statements to their members, and goes on with them
 * all, up to tx_commit. */
void tx_feed(struct tx *tx, const struct pgflight *f);
/* All members run again, each alone. */
void tx_split(struct tx *tx);
/* err: run_is_conflict. */
void tx_conflict(struct tx *tx, const struct err *err);
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
