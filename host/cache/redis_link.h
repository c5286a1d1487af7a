/* SPDX-License-Identifier: MIT */
/* redis_link - one connection to Redis that is made again whenever it breaks, with a growing pause.
 * Loop thread only. A command that gets no answer within REDIS_ANSWER_MS breaks it: a server that
 * hangs must not be waited for again and again. One line in the log when it breaks, one when it is
 * back. */
#ifndef RBF_REDIS_LINK_H
#define RBF_REDIS_LINK_H
#include "cache/redis_url.h"
#include <hiredis/hiredis.h>
#include <uv.h>

#define REDIS_ANSWER_MS 250
#define REDIS_CONNECT_MS 2000
#define REDIS_SCRIPTS_MAX 4

struct redis_link;

struct redis_link_owner {
    const char *const *scripts; /* loaded at each connect, for redis_link_eval; NULL ends them */
    void (*on_up)(void *arg);
    void (*on_down)(void *arg); /* what was not answered gets its NULL about then */
    void *arg;
};

/* Answers once. reply is borrowed, NULL when the connection broke; it may be an error. */
typedef void (*redis_link_cb)(const redisReply *reply, void *arg);

/* Borrows owner; takes url (which is left empty). Connects from the loop, later. */
struct redis_link *redis_link_new(uv_loop_t *loop, struct redis_url *url,
                                  const struct redis_link_owner *owner) NODISCARD;
bool redis_link_up(const struct redis_link *l);
/* Names the server's process: another one after a restart or a failover. "" before the first
 * connection. */
const char *redis_link_run_id(const struct redis_link *l);

struct redis_args { /* KEYS and ARGV of a script, copied when sent */
    int n_keys, n;
    const char **v; /* the keys first */
    const size_t *lens;
};
/* Runs the script of that index; cb comes from the loop, never from inside. False when down: cb
 * never comes. */
bool redis_link_eval(struct redis_link *l, int script, const struct redis_args *args,
                     redis_link_cb cb, void *arg);
/* Unanswered commands get their NULL from inside. The loop must run once more. */
void redis_link_delete(struct redis_link *l);
#endif
