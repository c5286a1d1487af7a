/* SPDX-License-Identifier: MIT */
/* redis - the cache in Redis, for all hosts of a namespace: texts by key, each with a time when it
 * ends, and what epochs.h does for one process. Redis counts the invalidations; each key has a
 * stamp, the number of its last one; a reader knows the number that was current before it began,
 * and what it read is kept only if the key's stamp is not later. A stamp that is not there counts
 * as one of now, so nothing is wrong when Redis forgets some to make room. The count belongs to an
 * era, which ends with the server's process (a restart may bring old values back, a failover lose
 * invalidations): values of another era are not there, and readers of another era keep nothing.
 *
 * Loop thread only. While Redis is away or slow, everything is a miss. */
#ifndef RBF_REDIS_H
#define RBF_REDIS_H
#include "base/err.h"
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

struct redis;

struct redis_stamp {
    char era[48]; /* "" : not known, nothing will be kept */
    uint64_t number;
};

/* prefix: in front of all its keys; copied. on_up comes from the loop whenever Redis is there
 * (again). NULL with err when the URL cannot be read. */
struct redis *redis_new(uv_loop_t *loop, const char *url, const char *prefix,
                        void (*on_up)(void *arg), void *arg, struct err *err) NODISCARD;
bool redis_up(const struct redis *r);
/* What a reader that begins now has to know. */
const struct redis_stamp *redis_now(const struct redis *r);

/* text is NULL when it is not there; borrowed. now: as redis_now, when Redis answered; NULL when it
 * did not. */
typedef void (*redis_get_cb)(const char *text, size_t len, const struct redis_stamp *now,
                             void *arg);
struct redis_get;
/* cb comes from the loop, never from inside. NULL: Redis is away, and cb never comes. */
struct redis_get *redis_get(struct redis *r, const char *key, redis_get_cb cb, void *arg);
void redis_get_cancel(struct redis_get *g); /* its cb is not called any more */
/* Does not wait. began: of the reader. */
void redis_set(struct redis *r, const char *key, const char *text, size_t len, uint64_t ttl_ms,
               const struct redis_stamp *began);

/* err NULL: Redis has done it. */
typedef void (*redis_done_cb)(const struct err *err, void *arg);
/* Invalidates keys (copied; all: every key there is). While Redis is away it is held until then,
 * for timeout_ms at most; if that passes (ERR_TIMEOUT) or too many are held, a new era begins with
 * the next connection, so that nothing older is ever read through this one. cb (may be NULL) comes
 * from the loop, or from redis_delete with ERR_SHUTDOWN, never from inside. */
void redis_invalidate(struct redis *r, const char *const *keys, size_t n, bool all, int timeout_ms,
                      redis_done_cb cb, void *arg);
/* The loop must run once more. */
void redis_delete(struct redis *r);
#endif
