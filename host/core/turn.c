/* SPDX-License-Identifier: MIT */
#include "core/turn.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define CLASS "1380075056" /* "RBF0": what else uses advisory locks of two numbers is not met */

/* FNV-1a (draft-eastlake-fnv). Two operations of one key would only wait for each other. */
static uint32_t mix(uint32_t hash, const char *s) {
    do
        hash = (hash ^ (unsigned char)*s) * 16777619u;
    while (*s++);
    return hash;
}

int32_t turn_key(const char *ns, const char *operation) {
    return (int32_t)mix(mix(2166136261u, ns), operation);
}

/* The limit holds for the statement only: it is its own transaction. Who had the place may have
 * been stopped (a frozen machine). */
void turn_add_take(struct pgconn *c, int32_t key) {
    char number[16], patience[16];
    snprintf(number, sizeof number, "%" PRId32, key);
    snprintf(patience, sizeof patience, "%d", TURN_PATIENCE_MS);
    pgconn_add(c,
               "WITH patience AS MATERIALIZED (SELECT clock_timestamp() AS since,"
               " set_config('lock_timeout', $2, true))"
               " SELECT pg_advisory_lock(" CLASS ", $1::int),"
               " floor(EXTRACT(EPOCH FROM clock_timestamp() - since) * 1000)::int FROM patience",
               2, (const char *const[]){number, patience}, PGADD_OWN);
}

int turn_waited_ms(const struct pgres *taken) {
    int ms = pgres_rows(taken) ? atoi(pgres_value(taken, 0, 1, NULL)) : TURN_PATIENCE_MS;
    return ms < 0 ? 0 : ms > TURN_PATIENCE_MS ? TURN_PATIENCE_MS : ms; /* somebody sets the clock */
}

void turn_add_leave(struct pgconn *c, int32_t key) {
    char number[16];
    snprintf(number, sizeof number, "%" PRId32, key);
    pgconn_add(c, "SELECT pg_advisory_unlock(" CLASS ", $1::int)", 1, (const char *const[]){number},
               PGADD_OWN);
}

bool turn_left(const struct pgres *left) {
    return pgres_status(left) == PGRES_ROWS_;
}
