/* SPDX-License-Identifier: MIT */
/* waits - replies that are waited for, found by the number in their inbox token, each with a
 * deadline. Thousands may wait at once: a hash by number, a heap by deadline, one timer. Loop
 * thread only; knows nothing of libnats. A callback may add and forget waits. */
#ifndef RBF_WAITS_H
#define RBF_WAITS_H
#include "bus/bus.h"

struct wait; /* private */

struct waits {
    uv_timer_t timer;
    struct wait *by_id; /* uthash */
    struct wait **heap;
    size_t n, cap;
    uint64_t last_id;
    uint64_t looked_ms; /* when one was found due, and given a moment; 0: none */
};

struct wait_spec {
    const char *subject; /* that was asked, for messages; copied; NULL when none */
    int timeout_ms;
    bool survives_down; /* nothing was sent over the connection that could be lost with it */
    bus_cb reply;       /* one of the two */
    bus_puback_cb puback;
    void *arg;
};

void waits_init(struct waits *w, uv_loop_t *loop);
uint64_t waits_add(struct waits *w, const struct wait_spec *spec);
void waits_forget(struct waits *w, uint64_t id); /* an unknown id is allowed */
/* Ends the wait with this reply (borrowed); false when nobody waits for it (any more). */
bool waits_answer(struct waits *w, uint64_t id, const struct bus_msg *m);
/* Nobody listens to what this wait asked: ERR_NOBODY. An unknown id is allowed. */
void waits_nobody(struct waits *w, uint64_t id);
/* The connection broke: all but those that survive it get ERR_BUS_DOWN. */
void waits_fail_down(struct waits *w);
/* All get ERR_SHUTDOWN; the timer is not closed (its owner does). */
void waits_shutdown(struct waits *w);
/* What a PubAck says; 0 when the message is stored. */
int puback_parse(const char *text, size_t n, bool *duplicate, struct err *err);
#endif
