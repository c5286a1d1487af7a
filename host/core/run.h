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
    RUN_CONFLICT, /* 40001 or 40P01: roll back, run again */
    RUN_LOST,     /* the connection broke: run again once there is one */
};

struct ask;

struct run_lazy {
    const char *begin;   /* statement that opens the transaction */
    uint64_t conn_by_ms; /* monotonic: RUN_LOST when there is no connection by then; 0: waits on */
};

struct run {
    struct host *h;
    struct call *call;
    const struct call_request *req;
    struct pgconn *conn;         /* lent; NULL until a lazy run wants one */
    const char *begin;           /* lazy run: statement that opens the transaction; NULL: open */
    uint64_t conn_by_ms;         /* lazy run: struct run_lazy */
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
    uint64_t deadline_ms; /* monotonic */
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
/* The answer to the question under way, for core/ask_*.c; v is borrowed. */
void run_answer(struct run *r, const struct call_value *v, int n);
void run_close(struct run *r); /* frees the call; r may be started again */
/* After the end: the call is the caller's now, to be deleted. */
struct call *run_take_call(struct run *r) NODISCARD;
void run_check_deadlines(struct host *h);
/* Adds what gives the open transaction limits that fit timeout_ms, where the session's do not. */
void run_add_limits(struct pgconn *c, int64_t timeout_ms);
#endif
