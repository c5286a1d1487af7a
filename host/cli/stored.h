/* SPDX-License-Identifier: MIT */
/* stored - what the host's tables hold, as rows for commands to list. Keys as in --json, times in
 * ms epoch. All return a new array, or NULL with err; *more: there are others behind the limit. */
#ifndef RBF_STORED_H
#define RBF_STORED_H
#include "cli/site.h"
#include "cli/table.h"

/* Outbox rows, what is due first comes first, those with NULLs do not count:
 * subjects: "jobs.>"; request: whose own rows these are; source: who scheduled them.
 * {"id","type","subject","requestId","sourceRequestId","state","dueAt","targetAt","createdAt",
 * "attempt","publishAttempts","headers","payload"}; state: waiting (for its time), retrying (for
 * the time of another attempt), unpublished (NATS did not take it, so far), due. */
struct stored_outbox {
    const char *subjects, *request, *source;
    int limit;
};
json_t *stored_outbox(struct site *s, const struct stored_outbox *which, bool *more,
                      struct err *err) NODISCARD;

/* Dead letters, the latest first: of a queue, or of a request; replayed ones too with `all`.
 * {"id","queue","subject","requestId","code","message","attempts","fingerprint","firstSeenAt",
 * "diedAt","replayedAt","codeVersion","traceback","headers","payload"}. */
struct stored_letters {
    const char *queue, *request;
    bool all;
    int limit;
};
json_t *stored_letters(struct site *s, const struct stored_letters *which, bool *more,
                       struct err *err) NODISCARD;

/* Results of a request id (one or none): {"subject","status","data","input","codeVersion",
 * "createdAt"}. */
json_t *stored_results(struct site *s, const char *request, struct err *err) NODISCARD;

/* For tables of the first two. */
extern const struct table_column stored_outbox_columns[], stored_letter_columns[];
/* "more than N: --limit" on standard error, where people read a table. */
void stored_say_more(const struct cli *c, bool more, int limit);
#endif
