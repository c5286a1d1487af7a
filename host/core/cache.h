/* SPDX-License-Identifier: MIT */
/* cache - texts that queries keep by key: in this process (host/cache/lru), or in Redis when there
 * is one, with the same rules. What a query read before its key was invalidated is not kept. Loop
 * thread only; never waits for PostgreSQL.
 *
 * In this process: other workers' invalidations come over NATS, so while NATS is away nothing is
 * kept and nothing is there, and afterwards it begins empty; likewise after a reload, as new code
 * may want other values. In Redis a value is only there for the code version that kept it. */
#ifndef RBF_CACHE_H
#define RBF_CACHE_H
#include "base/config.h"
#include "cache/epochs.h"
#include "cache/redis.h"

struct host;
struct cache;

struct cache_reader { /* a query under way */
    bool reading;     /* false: this run has no cache */
    struct epochs_reader local;
    struct redis_stamp began;
    const char *version; /* of its code */
};

struct cache_keys { /* what is to be invalidated; borrowed */
    const char **v;
    size_t n;
    bool all; /* everything there is */
};

#define CACHE_VALUE_MAX                                                                            \
    (1 << 20) /* larger ones are not kept: NATS takes no more either, by custom */

/* Needs h->bus, which is up. NULL with err: the Redis URL cannot be read. */
struct cache *cache_new(struct host *h, struct err *err) NODISCARD;
/* Subject on which invalidations are told. */
const char *cache_subject(const struct cache *c);
void cache_bus_changed(struct cache *c, bool up); /* NULL is allowed */
void cache_reloaded(struct cache *c);             /* NULL is allowed */

/* Around a query; version is borrowed until its end. c NULL: no cache. */
void cache_begin(struct cache *c, struct cache_reader *r, const char *version);
void cache_end(struct cache *c, struct cache_reader *r);

/* text NULL: not there; borrowed. */
typedef void (*cache_cb)(const char *text, size_t len, void *arg);
struct cache_get;
/* first: the query has read nothing yet. Calls cb once: from inside, and gives NULL, or later. */
struct cache_get *cache_get(struct cache *c, struct cache_reader *r, bool first, const char *key,
                            cache_cb cb, void *arg);
void cache_get_cancel(struct cache_get *g); /* NULL is allowed */
void cache_set(struct cache *c, const struct cache_reader *r, const char *key, const char *text,
               size_t len, uint64_t ttl_ms);

/* Tells this process alone, at once. */
void cache_forget(struct cache *c, const struct cache_keys *keys);
/* NULL: the cache is in this process. */
struct redis *cache_redis(const struct cache *c);
/* Tells everybody, once: a crash may lose it. For queries; mutations write a row (cache_row.h). */
void cache_invalidate(struct cache *c, const char *key);
/* After bus_delete; what Redis has not confirmed is told ERR_SHUTDOWN from inside. */
void cache_delete(struct cache *c); /* NULL is allowed */
#endif
