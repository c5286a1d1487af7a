/* SPDX-License-Identifier: MIT */
/* dead - dead letters: what ended without success and without anybody to tell. Loop thread only. */
#ifndef RBF_DEAD_H
#define RBF_DEAD_H
#include "core/task.h"

struct death {
    const char *code, *message; /* as a caller would have got them */
    const char *internal;       /* the real message, or NULL: message is it */
    const char *traceback;      /* or NULL */
    bool bare;                  /* leave out headers and payload: they cannot be stored */
    bool anew; /* its result was stored with it: what was here before is no outcome any more */
};
/* Adds the INSERT of the dead letter; its id is the message's, so that a second delivery adds none.
 * One that dies anew (it was replayed, while its message was still to come once more) is open
 * again. */
void dead_add(struct pgconn *c, const struct task *t, const struct death *d);
#define DEAD_REDACTED "[redacted]" /* in place of the value of a header in redactHeaders */
/* Once it is durable: to deadSubject, if there is one. */
void dead_tell(const struct task *t, const struct death *d);
#endif
