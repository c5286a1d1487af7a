/* SPDX-License-Identifier: MIT */
/* pgparams - libpq's connection parameters from a database URL, and its messages on one line with
 * a cure. Inside of pg/ only. What the URL says wins over what is set here. */
#ifndef RBF_PGPARAMS_H
#define RBF_PGPARAMS_H
#include "base/buf.h"

enum { PGPARAMS_MAX = 16 };

struct pgparams {
    const char *keys[PGPARAMS_MAX]; /* NULL-terminated, for PQconnectStartParams(…, 1) */
    const char *values[PGPARAMS_MAX];
    int n;
    char *options; /* ours, then the user's: the later one wins */
};

enum pgparams_use {
    PGPARAMS_TASKS,   /* short transactions: time limits, index scans preferred */
    PGPARAMS_COMMAND, /* migrations: no time limits but that of connecting */
};

/* Borrows url for the life of p. -1 with err (ERR_CONFIG) when it is no database URL. */
int pgparams_make(struct pgparams *p, const char *url, enum pgparams_use use, struct err *err);
void pgparams_free(struct pgparams *p);
/* Fills err from a failed connection's message: one line, with a cure where one is known. */
int pgparams_explain(const char *message, struct err *err);
/* Appends text with every run of white space made one blank, none at the ends. */
void pg_one_line(struct buf *out, const char *text);
/* The same for a message of libpq itself, without its guesses at the cause. */
void pg_client_line(struct buf *out, const char *message);
#endif
