/* SPDX-License-Identifier: MIT */
/* reply - what goes back to a caller, with the headers of the contract. Loop thread only. */
#ifndef RBF_REPLY_H
#define RBF_REPLY_H
#include "core/host.h"

struct reply {
    const char *to;      /* subject, checked by reply_allowed */
    const char *id;      /* request id */
    const char *version; /* of the code that answers */
    int status;
};
/* May something be published there for somebody outside: an inbox not our own, or below one of the
 * configured prefixes? */
bool reply_allowed(const struct host *h, const char *subject);
/* Nothing, when NATS is away. */
void reply_send(struct host *h, const struct reply *r, const char *body, size_t len);
/* code NULL: the status's own. issues: JSON or NULL. */
void reply_error(struct host *h, const struct reply *r, const char *code, const char *message,
                 const char *issues);
#endif
