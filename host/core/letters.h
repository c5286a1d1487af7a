/* SPDX-License-Identifier: MIT */
/* letters - what people do with dead letters and waiting jobs, from outside of a host. Blocking,
 * for commands; any number of hosts may be at work meanwhile. */
#ifndef RBF_LETTERS_H
#define RBF_LETTERS_H
#include "pg/pgsync.h"

/* Which dead letters, of those that nobody has replayed yet: one of the three. */
struct letter_choice {
    const char *id; /* the letter's own, or its request's */
    const char *fingerprint;
    bool all;
    void (*step)(void *arg); /* after each letter that was looked at; may be NULL */
    void *arg;
};

struct letter_counts {
    int64_t replayed;  /* sent again, under their request ids */
    int64_t succeeded; /* had an outcome of status 200 meanwhile: resolved, nothing sent */
    int64_t refused;   /* not JSON in UTF-8: would die of the same again; left as they are */
};

/* Each letter in one transaction: its stored error goes, an outbox row with a fresh id and the
 * original request id comes, without headers of the first try's time and caller. -1 with err. */
int letters_replay(struct pgsync *s, const char *ns, const struct letter_choice *which,
                   struct letter_counts *out, struct err *err);
/* How many letters those are now. */
int letters_count(struct pgsync *s, const char *ns, const struct letter_choice *which, int64_t *n,
                  struct err *err);
/* Deletes letters and the errors stored with them (never a result of status 200), 1,000 in a
 * transaction. Not those that another command has just now, nor what dies after it began. */
int letters_discard(struct pgsync *s, const char *ns, const struct letter_choice *which,
                    int64_t *discarded, struct err *err);
/* A job that waits for its time, by its id or its request id: *cancelled = it will never run. Who
 * waits for its reply gets 499 ABORTED, from the hosts' sweeper. */
int letters_cancel(struct pgsync *s, const char *ns, const char *id, bool *cancelled,
                   struct err *err);
#endif
