/* SPDX-License-Identifier: MIT */
/* doctor - what `rbf doctor` looks at, one noun a file. Each adds its findings; none stops the
 * others. Blocking, main thread. */
#ifndef RBF_DOCTOR_H
#define RBF_DOCTOR_H
#include "cli/site.h"

enum doctor_state { DOCTOR_OK, DOCTOR_WARNING, DOCTOR_PROBLEM };

struct doctor {
    struct site site; /* pg and js: NULL where they cannot be reached */
    json_t *findings; /* {"check","state","found","cure"} */
    int problems, warnings;
};

/* found: what is; cure: what to do, NULL or "" for nothing. Copies. */
void doctor_add(struct doctor *d, enum doctor_state state, const char *check, const char *cure,
                const char *fmt, ...) PRINTF_LIKE(5, 6);

void doctor_postgres(struct doctor *d); /* needs site.pg */
void doctor_tables(struct doctor *d); /* likewise: version of the schema, rights, what is in them */
void doctor_nats(struct doctor *d);   /* needs a NATS URL; opens site.js */
void doctor_queues(struct doctor *d); /* needs site.js */
void doctor_redis(struct doctor *d);
#endif
