/* SPDX-License-Identifier: MIT */
/* run - drives one call of a handler over a connection: each SQL event is one flight. Loop thread
 * only. Used by mutations (in their transaction), queries (BEGIN rides with the first statement)
 * and the middleware check before a stored reply. */
#ifndef RBF_RUN_H
#define RBF_RUN_H
#include "core/cache.h"
#include "core/host.h"
#include "vm/call.h"

enum run_end {
    RUN_DONE,     /* call->result, call->effects */
    RUN_FAILED,   /* run->failure */
    RUN_CONFLICT, /* run_is_conflict: roll back, run again */
    RUN_LOST,     /* the connection broke: run again once there is one */
    RUN_APART,    /* struct run_share: it wants what it cannot have there; start it otherwise */
};

struct ask;

struct run_lazy {
    const char *begin;   /* statement that opens the transaction */
    const char *end;     /* ends it, behind the first statement in the same flight: RUN_APART where
                            the handler wants a second; NULL: its end is the owner's */
    uint64_t conn_by_ms; /* monotonic: RUN_LOST when there is no connection by then; 0: waits on */
};

/* What a run in an open transaction may do beside others in the same one (core/tx.c). */
struct run_share {
    bool shared;    /* RUN_APART instead of waiting for anything but SQL, and instead of a statement
                       that the others would notice */
    bool impatient; /* the transaction's lock timeout is short: it is a conflict */
    bool early;     /* the transaction is not begun: its first statement is only kept (r->early), to
                       travel with BEGIN; RUN_APART where it waits for something else before that */
    const char *before; /* sent in front of its first statement (a savepoint); NULL: nothing */
};

struct run {
    struct host *h;
    struct call *call;
    const struct call_request *req;
    struct pgconn *conn;    /* lent; NULL until a lazy run wants one */
    struct run_share share; /* zero: it may do what it likes */
    bool early;             /* its first statement is ready: run_ride */
    int statements;         /* sent so far, questions for types included: */
    int questions;
    const char *begin;   /* sent before the next statement (lazy: opens the transaction) */
    const char *last;    /* lazy run: sent behind the first statement, struct run_lazy.end */
    bool closed;         /* that was sent */
    uint64_t conn_by_ms; /* lazy run: struct run_lazy */
    struct pgpool_waiter waiter; /* lazy run */
    struct list node;            /* among the running, for deadlines */
    struct cache_reader reader;  /* lazy run */
    const struct ask *asking;    /* the question under way */
    void *asked;                 /* its own */
    int http_calls;              /* so far: what tells their idempotency keys apart */
    bool starting;               /* inside its start: an answer waits in `next` */
    bool answered;
    enum call_event next;
    int64_t timeout_ms;
    uint64_t deadline_ms;  /* monotonic */
    uint64_t cancelled_ms; /* the statement, last */
    bool waiting_sql, waiting_conn, timed_out;
    bool describing;               /* the statement under way is asked for its types, not run */
    struct err doomed;             /* first SQL error, in case the handler swallows it */
    struct failure own;            /* failures that the call does not know of */
    const struct failure *failure; /* RUN_FAILED: call->failure or own */
    void (*cb)(struct run *r, enum run_end end);
    void *arg;
};

/* Starts gen's operation for req. conn NULL: a lazy run, with a connection of its own from its
 * first statement on (lazy NULL, too: a run without a database), which the owner releases (r->conn,
 * if not NULL, after the end). cb comes from inside or later. The call belongs to r until
 * run_close. */
void run_start(struct run *r, struct host *h, struct gen *g, const struct call_request *req,
               struct pgconn *conn, const struct run_lazy *lazy, uint64_t timeout_ms,
               void (*cb)(struct run *r, enum run_end end), void *arg);
/* The same in the transaction of conn; cb comes from inside or later, or not yet: r->early. */
void run_start_shared(struct run *r, struct host *h, struct gen *g, const struct call_request *req,
                      struct pgconn *conn, const struct run_share *share, uint64_t timeout_ms,
                      void (*cb)(struct run *r, enum run_end end), void *arg);
/* r->early: adds the statement to the flight that the owner is about to send. */
void run_ride(struct run *r);
/* Its answer, the i-th of f. only: the run must end now, with no further statement (RUN_APART). */
void run_feed(struct run *r, const struct pgflight *f, int i, bool only);
/* The answer to the question under way, for core/ask_*.c; v is borrowed. */
void run_answer(struct run *r, const struct call_value *v, int n);
void run_close(struct run *r); /* frees the call; r may be started again */
/* After the end: the call is the caller's now, to be deleted. */
struct call *run_take_call(struct run *r) NODISCARD;
void run_check_deadlines(struct host *h);
/* May the same transaction succeed when it runs again? impatient: also after a lock timeout. */
bool run_is_conflict(const struct err *err, bool impatient);
/* The same of the statement that r is at. */
bool run_conflicts(const struct run *r, const struct err *err);
/* Adds what gives the open transaction limits that fit timeout_ms, where the session's do not. */
void run_add_limits(struct pgconn *c, int64_t timeout_ms);
#endif
