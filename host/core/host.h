/* SPDX-License-Identifier: MIT */
/* host - what the parts of one worker share: its loop, servers, live generation and counters.
 * Loop thread only. A request's way: intake → task → tx ⇄ run → tx → outbox; what fails goes
 * tx → settle. */
#ifndef RBF_HOST_H
#define RBF_HOST_H
#include "base/config.h"
#include "base/list.h"
#include "bus/bus.h"
#include "pg/pgpool.h"
#include "vm/gen.h"
#include <uv.h>

struct alone;
struct cache;
struct http;
struct backlog;
struct task;
struct client;
struct specs;
struct intake;
struct gateway;
struct lane;
struct outbox;
struct purge;
struct sweeper;
struct cron;

/* Counted from the worker's start; in its last log line. */
struct stats {
    uint64_t done;       /* mutations committed with status 200 */
    uint64_t queries;    /* queries answered */
    uint64_t duplicates; /* answered from a stored result */
    uint64_t refused;    /* ended with an error reply that was not stored */
    uint64_t failed;     /* ended with an error that was stored */
    uint64_t expired;    /* answered 410 */
    uint64_t conflicts;  /* 40001 and 40P01, run again in place */
    uint64_t parked;     /* put into the outbox for a later attempt */
    uint64_t dead;       /* dead letters */
    uint64_t naks;       /* given back to NATS (unknown paths, draining) */
    uint64_t groups;     /* transactions committed for them */
    uint64_t twins;      /* waited for a task of the same id */
    uint64_t redelivered;
    uint64_t published; /* outbox rows stored in NATS after their commit */
    uint64_t swept;     /* outbox rows the sweeper published */
    uint64_t crons;     /* slots of crons claimed */
    uint64_t held;      /* +WPI sent */
    uint64_t cache_hits;
    uint64_t cache_misses;
    uint64_t rpc;         /* plain requests taken */
    uint64_t rpc_busy;    /* of them, those told 503 */
    uint64_t rpc_dropped; /* without a reply subject that may be written to: not taken */
    uint64_t rpc_unknown; /* mutations of which nobody knows whether their stream has them */

    uint64_t purged;        /* results deleted after their retention */
    uint64_t oldest_due_ms; /* a gauge: how long the oldest due outbox row waits; 0: none does */
};

struct host {
    uv_loop_t *loop;
    struct config *cfg;
    struct bus *bus;
    struct pgpool *pool;
    struct gen *gen;      /* the live generation; tasks hold their own */
    uint64_t deployed_ms; /* its files were read (monotonic; by the supervisor, once for all) */
    struct intake *intake;
    struct gateway *gateway;
    struct cache *cache; /* NULL: none, as for rbf exec */
    struct outbox *outbox;
    struct sweeper *sweeper;
    struct purge *purge;
    struct backlog *backlog;
    struct cron *cron;
    struct alone *alone;
    struct client *client; /* of rbf exec */
    struct specs *specs;   /* of rbf test */
    struct http *http;     /* NULL until a handler sends a request */
    struct list tasks;     /* struct task.node: everything in hand */
    struct task *running;  /* hash by request id: mutations under way */
    struct lane *lanes;    /* hash by operation */
    struct list txs;       /* struct tx.node: transactions under way */
    struct list runs;      /* struct run.node: handlers under way, for their deadlines */
    int n_tasks;
    bool draining;
    struct stats stats;
};
#endif
