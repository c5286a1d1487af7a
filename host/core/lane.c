/* SPDX-License-Identifier: MIT */
#include "core/lane.h"
#include "base/clock.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "core/after.h"
#include "core/retry.h"
#include "core/turn.h"
#include "core/tx.h"
#include <stdlib.h>
#include <string.h>

#define WEIGHT (1.0 / 32) /* of one member in the moving averages */
#define EARLY_MISSES 3
#define ONE_WANTED 16 /* runs of one statement in a row; four times as many after each mistake */
#define ONE_WANTED_MAX (1 << 20)
#define SLOW_MS 100  /* members that take longer go each alone */
#define GATHER_MS 25 /* what a flight of first statements may take */
#define IMPATIENT_TRIES 3
/* So many turns in a row that did not come: who has it was stopped, say. */
#define TURNS_MISSED 3
#define WITHOUT_TURNS_MS 3000
/* Share of failing members times size from which a savepoint each is cheaper than running the
 * others again; measured: 0.3 to 0.6. */
#define SAVEPOINTS_FROM 0.3

struct lane {
    UT_hash_handle hh; /* in host.lanes, by name */
    struct host *h;
    char *name;
    struct list waiting; /* struct task.member */
    int n_waiting;
    struct list requests; /* for connections */
    int n_requests, running;
    struct after *pump;
    struct width width;
    int32_t turn;           /* turn_key */
    int turns_missed;       /* in a row */
    uint64_t turns_from_ms; /* monotonic */
    /* Learned of the generation: what a handler does may change with it. */
    uint32_t generation;
    bool apart;       /* lane_note_apart */
    int early_misses; /* in a row */
    int one,
        one_wanted;   /* runs in a row that ended after one statement; from how many on it is so */
    double failing;   /* share of members that failed after a statement, lately */
    double member_ms; /* time a member takes, lately */
};

struct request {
    struct list node; /* in lane.requests */
    struct lane *lane;
    struct pgpool_waiter waiter;
};

static void forget_what_it_did(struct lane *l, uint32_t generation) {
    l->generation = generation;
    l->apart = false;
    l->early_misses = 0;
    l->one = 0;
    l->one_wanted = ONE_WANTED;
    l->failing = l->member_ms = 0;
}

struct lane *lane_of(struct host *h, const struct gen_op *op) {
    struct lane *l = NULL;
    char *name = xasprintf("%s.%s", op->queue_name, op->path);
    HASH_FIND_STR(h->lanes, name, l);
    if (l) {
        free(name);
        return l;
    }
    l = xcalloc(1, sizeof *l);
    l->h = h;
    l->name = name;
    l->turn = turn_key(h->cfg->namespace_, name);
    width_init(&l->width, (int)h->cfg->connections);
    list_init(&l->waiting);
    list_init(&l->requests);
    forget_what_it_did(l, 0);
    HASH_ADD_KEYPTR(hh, h->lanes, l->name, strlen(l->name), l);
    return l;
}

/* --- who goes together --- */

static struct task *head(const struct lane *l) {
    return container_of(l->waiting.next, struct task, member);
}

/* As many as there are for each connection that could serve the lane now. */
static int fair_share(const struct lane *l) {
    int idle = pgpool_unlent(l->h->pool), free_lanes = l->width.now - l->running - 1;
    int others = idle < free_lanes ? idle : free_lanes;
    return others > 0 ? (l->n_waiting + others) / (others + 1) : l->n_waiting;
}

static int most_members(const struct lane *l) {
    int share = fair_share(l), most = task_op(head(l))->group, gathered = lane_gathers(l);
    if (l->apart || head(l)->single || l->member_ms > SLOW_MS)
        return 1;
    if (gathered && gathered < most)
        most = gathered;
    return share < most ? share : most;
}

static int take(struct lane *l, struct list *members) {
    int n = 0, most = most_members(l);
    const struct gen *g = head(l)->gen;
    while (n < most && !list_empty(&l->waiting) && head(l)->gen == g && !(n && head(l)->single)) {
        struct task *t = head(l);
        list_remove(&t->member);
        list_push(members, &t->member);
        n++;
    }
    l->n_waiting -= n;
    return n;
}

static void forget_surplus(struct lane *l) {
    while (l->n_requests > l->n_waiting) {
        struct request *r = container_of(list_pop(&l->requests), struct request, node);
        pgpool_forget(l->h->pool, &r->waiter);
        free(r);
        l->n_requests--;
    }
}

static void on_conn(struct pgconn *conn, const struct err *err, void *arg) {
    struct request *r = arg;
    struct lane *l = r->lane;
    struct list members;
    list_init(&members);
    list_remove(&r->node);
    l->n_requests--;
    free(r);
    if (!conn) { /* the host is going away; the messages come again */
        struct list *node;
        while ((node = list_pop(&l->waiting)))
            task_end(container_of(node, struct task, member), NULL);
        l->n_waiting = 0;
        return;
    }
    if (!l->n_waiting || l->running >= l->width.now) { /* it has become narrower meanwhile */
        pgpool_release(l->h->pool, conn);
        return;
    }
    int n = take(l, &members);
    l->running++;
    forget_surplus(l);
    tx_start(l->h, l, conn, &members, n);
}

static void request_one(struct lane *l) {
    struct request *r = xcalloc(1, sizeof *r);
    r->lane = l;
    list_push(&l->requests, &r->node);
    l->n_requests++;
    pgpool_acquire(l->h->pool, &r->waiter, 0, on_conn, r);
}

static void pump(void *arg) {
    struct lane *l = arg;
    l->pump = NULL;
    while (l->running + l->n_requests < l->width.now && l->n_requests < l->n_waiting)
        request_one(l);
}

/* Once what this turn of the loop brings is here. */
static void pump_soon(struct lane *l) {
    if (!l->pump && l->n_waiting)
        l->pump = after_ms(l->h->loop, 0, pump, l);
}

void lane_enter(struct lane *l, struct task *t, bool front) {
    if (t->gen->number > l->generation)
        forget_what_it_did(l, t->gen->number);
    if (front)
        list_push_front(&l->waiting, &t->member);
    else
        list_push(&l->waiting, &t->member);
    l->n_waiting++;
    pump_soon(l);
}

void lane_put_back(struct lane *l, struct list *members) {
    while (!list_empty(members)) {
        struct list *last = members->prev;
        list_remove(last);
        lane_enter(l, container_of(last, struct task, member), true);
    }
}

void lane_leave(struct lane *l, enum width_end end) {
    l->running--;
    if (width_learn(&l->width, end))
        log_debug("lane narrowed", LOG_S("operation", l->name), LOG_I("width", l->width.now),
                  LOG_I("places", l->width.places));
    pump_soon(l);
}

void lanes_delete(struct host *h) {
    struct lane *l, *next;
    HASH_ITER(hh, h->lanes, l, next) {
        HASH_DEL(h->lanes, l);
        after_cancel(&l->pump);
        free(l->name);
        free(l);
    }
}

/* --- what is learned --- */

static void average(double *mean, double value, int n) {
    double weight = n * WEIGHT < 0.5 ? n * WEIGHT : 0.5;
    *mean += (value - *mean) * weight;
}

void lane_note_time(struct lane *l, double ms, int n) {
    average(&l->member_ms, ms / n, n);
}

void lane_note_ran(struct lane *l, int statements) {
    average(&l->failing, 0, 1);
    if (statements != 1)
        l->one = 0;
    else if (l->one < ONE_WANTED_MAX)
        l->one++;
}

void lane_note_failed(struct lane *l) {
    average(&l->failing, 1, 1);
}

void lane_not_one(struct lane *l) {
    l->one = 0;
    l->one_wanted = l->one_wanted * 4 < ONE_WANTED_MAX ? l->one_wanted * 4 : ONE_WANTED_MAX;
}

void lane_note_apart(struct lane *l) {
    l->apart = true;
}

void lane_note_early(struct lane *l, bool rode) {
    l->early_misses = rode ? 0 : l->early_misses + 1;
}

int lane_gathers(const struct lane *l) {
    if (l->one < l->one_wanted || !lane_early(l))
        return 0;
    double most = GATHER_MS / (l->member_ms > 0.01 ? l->member_ms : 0.01);
    if (l->failing * most > SAVEPOINTS_FROM)
        most = SAVEPOINTS_FROM / l->failing;
    return most < 2 ? 0 : (int)most;
}

bool lane_early(const struct lane *l) {
    return l->early_misses < EARLY_MISSES;
}

bool lane_impatient(const struct lane *l, const struct task *t) {
    bool narrowed = l->width.cut && l->width.now < l->width.most;
    return narrowed && t->conflicts < IMPATIENT_TRIES;
}

bool lane_turn(const struct lane *l, int32_t *turn) {
    int places = FAILPOINT("lane.turn") ? 1 : l->width.places;
    *turn = (int32_t)((uint32_t)l->turn + (places ? (uint32_t)retry_random(0, places - 1) : 0));
    return places && clock_mono_ms() >= l->turns_from_ms;
}

void lane_note_turn(struct lane *l, bool got) {
    l->turns_missed = got ? 0 : l->turns_missed + 1;
    if (l->turns_missed < TURNS_MISSED)
        return;
    l->turns_missed = 0;
    l->turns_from_ms = clock_mono_ms() + WITHOUT_TURNS_MS;
}

bool lane_wants_savepoints(const struct lane *l, int n) {
    return l->failing * n > SAVEPOINTS_FROM;
}
