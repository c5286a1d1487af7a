/* SPDX-License-Identifier: MIT */
#include "core/lane.h"
#include "base/log.h"
#include <stdlib.h>
#include <uthash.h>

/* Additive increase, multiplicative decrease, as in TCP's congestion control (RFC 5681); the signal
 * is the share of conflicts, as a moving average over about 32 transactions. Measured with the
 * sign-up app on an empty table, random addresses, 16 connections: 17 % of the creates conflicted
 * without lanes, 2 % with them. */
#define START_WIDTH 4
#define WEIGHT (1.0 / 32)
#define CUT_SHARE 0.035 /* two conflicts within about 65 transactions: halve */
#define CALM_SHARE 0.01 /* none within about 36: widen */
#define PROBE_MIN 16    /* transactions, after a cut, before it widens by one */
#define PROBE_MAX 256   /* doubled up to this by each cut, halved by each widening */

struct lane {
    UT_hash_handle hh; /* in host.lanes, by name */
    char *name;
    struct list waiting; /* struct lane_waiter.node */
    int width, running;
    double share;    /* of conflicts, lately */
    int seen, probe; /* transactions since the width last changed; as many until it widens */
    bool cut;        /* once it was cut it widens one by one, before that it doubles */
    int most;        /* as many as there are connections */
};

struct lane *lane_of(struct host *h, const struct gen_op *op) {
    struct lane *l = NULL;
    char *name = xasprintf("%s.%s", op->queue_name, op->path);
    HASH_FIND_STR(h->lanes, name, l);
    if (l) {
        free(name);
        return l;
    }
    l = xcalloc(1, sizeof *l);
    l->name = name;
    l->width = START_WIDTH;
    l->probe = PROBE_MIN;
    l->most = (int)h->cfg->connections;
    list_init(&l->waiting);
    HASH_ADD_KEYPTR(hh, h->lanes, l->name, strlen(l->name), l);
    return l;
}

static void start_next(struct lane *l) {
    while (l->running < l->width) {
        struct list *node = list_pop(&l->waiting);
        if (!node)
            return;
        struct lane_waiter *w = container_of(node, struct lane_waiter, node);
        l->running++;
        w->cb(w->arg);
    }
}

void lane_enter(struct lane *l, struct lane_waiter *w, bool front, void (*cb)(void *arg),
                void *arg) {
    w->cb = cb;
    w->arg = arg;
    if (front)
        list_push_front(&l->waiting, &w->node);
    else
        list_push(&l->waiting, &w->node);
    start_next(l);
}

static void set_width(struct lane *l, int width) {
    l->seen = 0;
    l->width = width < 1 ? 1 : width > l->most ? l->most : width;
}

static void learn(struct lane *l, bool conflicted) {
    l->seen++;
    l->share += ((conflicted ? 1.0 : 0.0) - l->share) * WEIGHT;
    if (conflicted && l->width > 1 && l->share > CUT_SHARE) {
        l->cut = true;
        l->probe = l->probe * 2 < PROBE_MAX ? l->probe * 2 : PROBE_MAX;
        l->share = WEIGHT; /* as after one conflict: the narrower lane gets its chance */
        set_width(l, l->width / 2);
        log_debug("lane narrowed", LOG_S("operation", l->name), LOG_I("width", l->width));
    } else if (!l->cut && l->seen >= l->width && l->share < CALM_SHARE) {
        set_width(l, l->width *
                         2); /* slow start: a handler that waits long is wide after two rounds */
    } else if (l->cut && l->seen >= l->probe && l->share < CALM_SHARE) {
        if (l->probe > PROBE_MIN)
            l->probe /= 2;
        set_width(l, l->width + 1);
    }
}

void lane_leave(struct lane *l, bool conflicted) {
    l->running--;
    learn(l, conflicted);
    start_next(l);
}

void lanes_delete(struct host *h) {
    struct lane *l, *next;
    HASH_ITER(hh, h->lanes, l, next) {
        HASH_DEL(h->lanes, l);
        free(l->name);
        free(l);
    }
}
