/* SPDX-License-Identifier: MIT */
/* session - does a statement leave something behind in its session (a setting, a lock, a temporary
 * table, a cursor)? Then the connection is not lent again. Inside of pg/ only; pure. */
#ifndef RBF_SESSION_H
#define RBF_SESSION_H
#include <stdbool.h>

enum session_touch {
    SESSION_LASTS = 1, /* beyond its transaction */
    SESSION_SCOPE = 2, /* what follows runs as another role, or names mean other tables */
    SESSION_APART = 4, /* another request in the same transaction would notice, or suffer */
};
/* A set of those, by the statement's words and on the safe side: a false alarm costs one reconnect.
 * What a function in the database does inside is not seen. */
int session_touches(const char *sql);
#endif
