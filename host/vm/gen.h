/* SPDX-License-Identifier: MIT */
/* gen - a generation: one lua_State with one version of the whole app loaded in it. gen_load and
 * gen_delete may run on any thread; everything else belongs to the loop thread. Generations are
 * counted: each running call holds one reference, the worker one; the state closes with the last.
 */
#ifndef RBF_GEN_H
#define RBF_GEN_H
#include "base/cronspec.h"
#include "base/tree.h"
#include "wire/subject.h"
#include <stdint.h>

enum op_type { OP_MUTATION, OP_QUERY };

struct gen_queue {
    char *name;                      /* the key in defineBackend's queues */
    char *subject;                   /* without the app's subjectPrefix; default: the name */
    char *stream, *consumer;         /* NULL: the host's default (prefix and name) */
    int64_t ack_wait_ms, timeout_ms; /* 30 000, 25 000 */
    int64_t concurrency;             /* 0: no limit of its own */
    int group;                       /* most mutations in one transaction; 64 */
    int replicas;
};

/* What an operation says of its retries; -1 and BACKOFF_PRESET: as the host's settings say. */
struct gen_retry {
    enum { BACKOFF_PRESET, BACKOFF_EXPONENTIAL, BACKOFF_FIXED, BACKOFF_LIST } backoff;
    int64_t max_attempts, initial_ms, max_ms;
    double jitter;    /* share of a wait that is random */
    int64_t *list_ms; /* BACKOFF_LIST: the last one repeats */
    int n_list;
};

struct gen_op {
    enum op_type type;
    char *queue_name, *path, *name; /* name: key it was returned under, or `name`; may be NULL */
    char *file;                     /* "users.lua:14": where it was defined */
    char *middleware;               /* JSON list of where each part is: ["app.lua:13"] */
    char *example;                  /* JSON of an input to try; may be NULL */
    int queue;                      /* index into queues */
    int64_t timeout_ms;
    int group; /* most of them in one transaction */
    struct gen_retry retry;
    bool on_error;         /* its middleware has onError hooks: keep a failed call for them */
    int ones, ones_wanted; /* a query's: kept by core/query.c */
};

struct gen_cron {
    char *name;           /* unique; "jobs.users.cleanup" unless app:cron says */
    char *spec_text, *tz; /* as written; "UTC" */
    struct cronspec spec; /* the same, read */
    struct zone *zone;
    char *missed;  /* "once" or "skip" */
    char *subject; /* of the request, without the app's subjectPrefix */
    char *data;    /* its input as JSON; NULL: null */
    char *file;    /* "users.lua:30" */
};

struct gen {
    char version[13]; /* of the tree */
    uint32_t number;  /* counts reloads in the supervisor */
    struct gen_queue *queues;
    int n_queues;
    struct gen_op *ops;
    int n_ops;
    struct gen_cron *crons;
    int n_crons;
    struct router *router; /* subjects without prefix → index into ops */
    char *options;         /* what main.lua gave createBackend, as JSON ("{}" without main.lua) */
    double load_ms;
    bool spent; /* it ran out of memory, or nearly: to be made anew from the same files */
    int refs;
    void (*bury)(struct gen *g, void *arg); /* see gen_bury */
    void *bury_arg;
    struct vm *vm; /* private to vm/ */
};

/* For generations loaded from now on: how long a handler may compute without waiting (CPU time, 0
 * for ever; preset: 1 s), and how many bytes the state may hold (0, the preset: any). Before the
 * first gen_load of another thread. */
void gen_limit(int64_t ms, size_t bytes);
/* Builds a generation with one reference; takes nothing. lua_dir is the folder that holds
 * rbf/init.lua. NULL with err: "handlers/users.lua:12: unknown key 'handlr', did you mean
 * 'handler'?" */
struct gen *gen_load(const struct tree *tree, const char *lua_dir, uint32_t number,
                     struct err *err) NODISCARD;
/* It is spent, and was refused memory: what it runs may fail for that. */
bool gen_starved(const struct gen *g);
struct gen *gen_ref(struct gen *g);
void gen_unref(struct gen *g);
/* Closing the state of a large app takes milliseconds. With bury, whoever gives back the last
 * reference does not wait for it: bury is called instead, and sees to it that gen_delete is, on any
 * thread. NULL: as it was. */
void gen_bury(struct gen *g, void (*bury)(struct gen *g, void *arg), void *arg);
void gen_delete(struct gen *g); /* nobody refers to it any more */
/* JSON {"version","ms","operations":[{"type","queue","path","name","file","subject","example"}]}:
 * for the supervisor.
 */
void gen_describe(const struct gen *g, struct buf *out);
#endif
