/* SPDX-License-Identifier: MIT */
/* cronplan - what is to be done about the crons of a generation, given their rows and the time.
 * Pure; any thread. */
#ifndef RBF_CRONPLAN_H
#define RBF_CRONPLAN_H
#include "vm/gen.h"

/* A row of rbf_crons. Texts are borrowed; times in ms; last_slot 0: none has fired. */
struct cronrow {
    const char *name, *spec, *tz, *path, *missed, *version;
    int64_t next_at, last_slot;
};

enum cronact_type {
    CRONACT_DEFINE, /* next: the first slot, if the row is new or has another spec or zone */
    CRONACT_FIRE,   /* slot, and next is the one behind it */
    CRONACT_SKIP,   /* what was missed: go on with next */
    CRONACT_BACK,   /* the clock went back: go on with next, as if none had fired */
    CRONACT_REMOVE,
};

struct cronact {
    enum cronact_type type;
    const struct gen_cron *cron; /* NULL: CRONACT_REMOVE */
    char *name;                  /* CRONACT_REMOVE */
    char *path;                  /* the requests' subject with its prefix */
    int64_t was;                 /* the row's next_at */
    int64_t slot, next;
};

struct cronplan {
    struct cronact *acts;
    int n;
};

/* Fills plan, which is empty. Returns the ms until the next slot, far away when there is none; when
 * something is to be done, look again after it. */
int64_t cronplan_make(struct cronplan *plan, const struct gen *g, const char *prefix, int64_t now,
                      const struct cronrow *rows, int n);
void cronplan_free(struct cronplan *plan); /* and empties it */
#endif
