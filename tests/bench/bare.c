/* SPDX-License-Identifier: MIT */
/* bench_bare - what the `get` query costs with nothing between: its transaction in one flight over
 * one connection, again and again. Prints one line of JSON.
 *   bench_bare DATABASE_URL COUNT ACCOUNTS */
#include "hist.h"
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static uint64_t now_us(void) {
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static void check(PGconn *c, int ok, const char *what) {
    if (ok)
        return;
    fprintf(stderr, "bare: %s: %s", what, PQerrorMessage(c));
    exit(1);
}

static void prepare(PGconn *c, const char *name, const char *sql) {
    PGresult *r = PQprepare(c, name, sql, 0, NULL);
    check(c, PQresultStatus(r) == PGRES_COMMAND_OK, sql);
    PQclear(r);
}

/* One flight: BEGIN, SELECT, COMMIT, Sync. */
static void get(PGconn *c, const char *id) {
    PQsendQueryPrepared(c, "begin", 0, NULL, NULL, NULL, 0);
    PQsendQueryPrepared(c, "get", 1, &id, NULL, NULL, 0);
    PQsendQueryPrepared(c, "commit", 0, NULL, NULL, NULL, 0);
    PQpipelineSync(c);
    for (int results = 0, ended = 0; !ended;) {
        PGresult *r = PQgetResult(c);
        if (!r)
            continue;
        ExecStatusType status = PQresultStatus(r);
        ended = status == PGRES_PIPELINE_SYNC;
        check(c, ended ? results == 3 : status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK,
              "get");
        results++;
        PQclear(r);
    }
}

int main(int argc, char **argv) {
    if (argc != 4) {
        fprintf(stderr, "bench_bare DATABASE_URL COUNT ACCOUNTS\n");
        return 2;
    }
    static struct hist hist;
    PGconn *c = PQconnectdb(argv[1]);
    check(c, PQstatus(c) == CONNECTION_OK, "connect");
    prepare(c, "begin", "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
    prepare(c, "get", "SELECT id, owner, balance FROM accounts WHERE id = $1");
    prepare(c, "commit", "COMMIT");
    check(c, PQenterPipelineMode(c), "pipeline mode");
    uint64_t began = now_us(), at = began;
    int count = atoi(argv[2]);
    for (int i = 0; i < count; i++) {
        char id[12];
        snprintf(id, sizeof id, "%d", 1 + rand() % atoi(argv[3]));
        get(c, id);
        uint64_t now = now_us();
        hist_add(&hist, now - at);
        at = now;
    }
    printf("{\"rate\": %.6g, \"ms\": {", count * 1e6 / (double)(at - began + 1));
    hist_print(&hist);
    printf("}}\n");
    PQfinish(c);
    return 0;
}
