/* SPDX-License-Identifier: MIT */
/* cache_row - invalidations by mutations: they are rows of the outbox, so that they happen if and
 * only if the transaction commits, and a crash loses none. Such a row is a message {"keys":[…]} to
 * cache_subject(); it is done when the server has read it and, where the cache is in Redis, when
 * Redis has confirmed it. Loop thread only. */
#ifndef RBF_CACHE_ROW_H
#define RBF_CACHE_ROW_H
#include "bus/bus.h"
#include "core/cache.h"
#include "core/host.h"

/* Before COMMIT: the EFFECT_CACHE among effects become one EFFECT_MESSAGE (more, when one message
 * could not hold their keys), at the end. */
void cache_row_fold(struct host *h, struct list *effects);
/* Is there one? Then it is to be published before the reply: who has the reply and asks another
 * worker finds it told (the server hands on in order). */
bool cache_row_among(const struct host *h, const struct list *effects);
bool cache_row_is(const struct host *h, const char *path);
/* Forgets here, tells Redis, publishes. 0: cb comes later. -1 with err when it could not be
 * published (then cb never comes; Redis is told all the same). */
int cache_row_send(struct host *h, struct hdrs *hd, const char *data, size_t len, int timeout_ms,
                   bus_puback_cb cb, void *arg, struct err *err);
/* The path of rows that cannot be done now, because Redis is away; NULL: none. */
const char *cache_row_blocked(const struct host *h);
/* A message from another worker; borrowed. */
void cache_row_receive(struct host *h, const struct bus_msg *m);
#endif
