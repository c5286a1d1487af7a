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
/* Who waits for a turn does nothing meanwhile, so they are taken only where every third transaction
 * is in vain, or a few are blocked; and to try without is dear, as the others are met who still
 * take theirs. */
#define CROWDED_SHARE 0.35
#define UNCROWDED_SHARE 0.09
#define BLOCKED_WEIGHT 0.2
#define MOST_PLACES 4
#define TURNS_PROBE_MAX 2048

void width_init(struct width *w, int most) {
    *w = (struct width){
        .now = START_WIDTH < most ? START_WIDTH : most, .most = most, .probe = PROBE_MIN};
}

static void set(struct width *w, int now) {
    w->seen = 0;
    w->now = now > w->most ? w->most : now;
}

static bool is_too_wide(const struct width *w, enum width_end end) {
    if (end == WIDTH_CALM || w->places == 1)
        return false;
    if (w->now > 1)
        return end == WIDTH_BLOCKED || w->share > CUT_SHARE;
    return w->share > CROWDED_SHARE;
}

static void narrow(struct width *w) {
    int most = w->now > 1 ? PROBE_MAX : TURNS_PROBE_MAX;
    w->cut = true;
    w->probe = w->probe * 2 < most ? w->probe * 2 : most;
    w->share = WEIGHT; /* as after one conflict: the narrower lane gets its chance */
    if (w->now == 1)
        w->places = w->places ? w->places / 2 : MOST_PLACES;
    set(w, w->now > 1 ? w->now / 2 : 1);
}

static void widen(struct width *w) {
    if (w->probe > PROBE_MIN)
        w->probe /= 2;
    set(w, w->places ? 1 : w->now + 1);
    if (w->places)
        w->places = w->places < MOST_PLACES ? w->places * 2 : 0;
}

bool width_learn(struct width *w, enum width_end end) {
    w->seen++;
    w->share += ((end != WIDTH_CALM ? 1.0 : 0.0) - w->share) *
                (end == WIDTH_BLOCKED ? BLOCKED_WEIGHT : WEIGHT);
    if (is_too_wide(w, end)) {
        narrow(w);
        return true;
    }
    if (!w->cut && w->seen >= w->now && w->share < CALM_SHARE)
        set(w, w->now * 2); /* slow start: a handler that waits long is wide after two rounds */
    else if (w->cut && w->seen >= w->probe && w->share < (w->places ? UNCROWDED_SHARE : CALM_SHARE))
        widen(w);
    return false;
}
