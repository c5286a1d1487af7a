/* SPDX-License-Identifier: MIT */
#include "core/width.h"

/* Additive increase, multiplicative decrease, as in TCP's congestion control (RFC 5681); the signal
 * is the share of conflicts, as a moving average over about 32 transactions. Measured with the
 * sign-up app on an empty table, random addresses, 16 connections: 17 % of the creates conflicted
 * without, 2 % with it. */
#define START_WIDTH 4
#define WEIGHT (1.0 / 32)
#define CUT_SHARE 0.035 /* two conflicts within about 65 transactions: halve */
#define CALM_SHARE 0.01 /* none within about 36: widen */
#define PROBE_MIN 16    /* transactions, after a cut, before it widens by one */
#define PROBE_MAX 256   /* doubled up to this by each cut, halved by each widening */

void width_init(struct width *w, int most) {
    *w = (struct width){
        .now = START_WIDTH < most ? START_WIDTH : most, .most = most, .probe = PROBE_MIN};
}

static void set(struct width *w, int now) {
    w->seen = 0;
    w->now = now < 1 ? 1 : now > w->most ? w->most : now;
}

bool width_learn(struct width *w, enum width_end end) {
    bool conflicted = end != WIDTH_CALM;
    w->seen++;
    w->share += ((conflicted ? 1.0 : 0.0) - w->share) * WEIGHT;
    if (w->now > 1 && (end == WIDTH_BLOCKED || (conflicted && w->share > CUT_SHARE))) {
        w->cut = true;
        w->probe = w->probe * 2 < PROBE_MAX ? w->probe * 2 : PROBE_MAX;
        w->share = WEIGHT; /* as after one conflict: the narrower lane gets its chance */
        set(w, w->now / 2);
        return true;
    }
    if (!w->cut && w->seen >= w->now && w->share < CALM_SHARE) {
        set(w, w->now * 2); /* slow start: a handler that waits long is wide after two rounds */
    } else if (w->cut && w->seen >= w->probe && w->share < CALM_SHARE) {
        if (w->probe > PROBE_MIN)
            w->probe /= 2;
        set(w, w->now + 1);
    }
    return false;
}
