/* SPDX-License-Identifier: MIT */
/* subject - operation paths ("users.get.$userId"), their concrete subjects ("users.get.a%2Eb"), and
 * the router from one to the other. Pure functions, any thread, no I/O. */
#ifndef RBF_SUBJECT_H
#define RBF_SUBJECT_H
#include "base/buf.h"
#include <stdbool.h>
#include <stddef.h>

#define SUBJECT_MAX_PARAMS 16
/* Bytes of a concrete path or reply subject. The server's control line (4,096 bytes by default)
 * holds two subjects and the prefix; a longer line makes it close the connection. */
#define SUBJECT_MAX 1024

struct subject_param {
    const char *name; /* owned by the router */
    char *value;      /* percent-decoded, valid UTF-8; free through subject_params_free */
};

struct subject_params {
    struct subject_param v[SUBJECT_MAX_PARAMS];
    size_t n;
};
void subject_params_free(struct subject_params *p);

/* Checks an operation path: tokens of [A-Za-z0-9_-]+ or $name ($ then an identifier), joined by
 * dots, parameter names distinct. -1 with err (ERR_CONFIG: names the path, the fault and the cure).
 */
int subject_check_path(const char *path, struct err *err);
/* A literal subject prefix or queue subject: tokens of printable ASCII without space, '.', '*',
 * '>', not beginning with '$' and not _INBOX. A trailing dot is allowed in a prefix. */
int subject_check_literal(const char *subject, bool prefix, struct err *err);

/* May a result be published there for somebody outside? Only inbox subjects: the first token begins
 * with "_INBOX"; printable tokens without wildcards, white space or '$'; at most SUBJECT_MAX bytes;
 * not below own_inbox (the host's own inbox prefix; NULL: none). */
bool subject_reply_allowed(const char *subject, const char *own_inbox);
/* The other way to be allowed: strictly below one of the configured prefixes ("a.,b.c.", "" for
 * none), with the same rules for its tokens. */
bool subject_reply_prefixed(const char *subject, const char *prefixes);

/* Appends token percent-encoded so that it is one NATS token: everything but [A-Za-z0-9_~-]. */
void subject_encode(struct buf *out, const char *s, size_t n);
/* Builds the concrete path from a pattern and the params get() gives by name (NULL: missing → err
 * names it). Empty values, invalid UTF-8 and results above SUBJECT_MAX are refused; out then holds
 * part. */
int subject_build(const char *path, const char *(*get)(const char *name, void *arg), void *arg,
                  struct buf *out, struct err *err);

/* router: patterns under one queue subject each. A literal token wins over a parameter. */
struct router;
struct router *router_new(void) NODISCARD;
/* path is the operation's path behind its queue's subject; op is what router_match gives back
 * (>= 0). -1 with err when two patterns match the same subjects (duplicate path, or the same path
 * with other parameter names: both are named). Existing entry's number goes to *other if not NULL.
 */
int router_add(struct router *r, const char *queue_subject, const char *path, int op, int *other,
               struct err *err);
/* Full subject without the app's subjectPrefix: "jobs.users.get.42". -1 when nothing matches;
 * params (may be NULL) are filled on success. A token that is not valid percent-encoded UTF-8 does
 * not match. */
int router_match(const struct router *r, const char *subject, struct subject_params *params);
void router_delete(struct router *r);
#endif
