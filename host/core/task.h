/* SPDX-License-Identifier: MIT */
/* task - one message in hand, from its arrival to its ack. Loop thread only. A task has at most one
 * pending operation. It ends exactly once, by task_end. */
#ifndef RBF_TASK_H
#define RBF_TASK_H
#include "core/host.h"
#include "core/intake.h"
#include "core/run.h"
#include "wire/envelope.h"
#include <uthash.h>

struct task {
    struct list node;   /* in host.tasks */
    struct list member; /* in a lane, then in a transaction */
    struct list twins;  /* tasks of the same request id that wait for this one's end */
    struct list apart;  /* among those that wait for somebody to run alone, or to do so */
    struct list twin;   /* this one's place in such a list */
    UT_hash_handle hh;  /* in host.running, by env.id */
    struct host *h;
    struct queue *q; /* whose message it is; NULL: a plain request (gateway.h), always a query's */
    struct bus_msg *msg;
    struct ack_subject ack; /* delivery count, stream, sequence, time */
    struct envelope env;
    const char *subject; /* without the app's prefix; within msg */
    char *path;          /* the full subject as text: what the tables hold */
    json_t *input;       /* NULL until parsed */
    struct gen *gen;     /* reference; the generation this task finishes on */
    int op;              /* index into gen->ops; -1: unknown path */
    struct subject_params params;
    struct call_request req;
    struct run run;        /* of the handler, in its transaction (tx.h) */
    bool over;             /* the run ended before its transaction began: */
    enum run_end over_end; /* so */
    bool single;           /* no others in its transaction any more: it may be what undid one */
    int undone;            /* transactions with others that a conflict undid */
    int conflicts;         /* times it was run again in place, alone */
    int losses;            /* times its connection broke while it ran */
    bool sql_rerun;        /* it was run again once for 23505, 23503 or 22P02 */
    bool leader;           /* it is in host.running */
    bool admitted;         /* it need not wait (any more) for somebody who runs alone */
    uint64_t held_ms;      /* monotonic: when NATS last heard of it */
    uint64_t taken_ns;     /* monotonic; this and the next for tasklog.h: */
    uint64_t db_ns;        /* of it, how long it waited for PostgreSQL */
    const char *outcome;   /* a word that stays, once it is known and not "done" */
    int status;            /* with it; 0: none */
    bool told;             /* its end is in the log */
    uint64_t answer_by_ms; /* monotonic: PostgreSQL must have been found by then; 0: it can wait */
};

/* A request that is in no stream. */
struct plain_request {
    struct bus_msg *msg; /* taken; its headers name the caller (Reply-To) */
    const char *subject; /* within msg's: queue subject and path */
    uint64_t number;     /* with wall_ms: its name, where the caller gave none that will do */
    int64_t wall_ms;
    uint64_t answer_by_ms; /* as in struct task */
};

/* Takes m. Checks what needs no database, then hands over to tx, query or settle. */
void task_accept(struct host *h, struct queue *q, struct bus_msg *m);
/* The same for a request that h->gen knows as a query: it is answered, whatever happens. */
void task_accept_plain(struct host *h, const struct plain_request *p);
/* Answers 503 to what plain requests are still under way: the host ends without them. */
void task_give_up_plain(struct host *h);
/* From those checks on, for a task that could not be brought to its end. */
void task_restart(struct task *t);
const struct gen_op *task_op(const struct task *t); /* NULL when the path is unknown */
bool task_has_caller(const struct task *t);         /* somebody waits for a reply */
/* Publishes the result to the caller, if there is one and NATS is up: else the message is not
 * acked either, and comes again. */
void task_reply(const struct task *t, int status, const char *body, size_t len);
/* word: "+ACK", "+TERM", "-NAK …", or NULL: nothing is said to NATS (it comes again by itself).
 * Frees t and starts a twin that waited. */
void task_end(struct task *t, const char *word);
/* Tells NATS of every task that waits longer than a third of its queue's ack_wait (+WPI). */
void task_hold_all(struct host *h);
/* JSON body and reply of an error. */
void task_reply_error(const struct task *t, int status, const char *code, const char *message,
                      const char *issues);
/* Name of the message itself, the same at each delivery: "<stream>:<sequence>:<ns>". */
void task_message_name(const struct task *t, struct buf *out);
#endif
