/* SPDX-License-Identifier: MIT */
/* stmts - the prepared statements of one connection, by their text; the least recently used goes
 * first. Names are never used twice. Inside of pg/ only.
 *
 * A Prepare travels in the flight of the statement's first use, and is skipped when something fails
 * before it. So a statement is STMT_READY only when its own Prepare was answered. */
#ifndef RBF_STMTS_H
#define RBF_STMTS_H
#include "base/list.h"
#include <stdint.h>
#include <uthash.h>

enum { STMTS_MAX = 256 };

struct stmt {
    char name[24];
    enum { STMT_NEW, STMT_SENT, STMT_READY } state;
    uint64_t flight, segment; /* of its last use, of its Prepare */
    bool forgotten;
    int touches;     /* enum session_touch */
    unsigned *types; /* of its parameters; NULL: not asked yet */
    int n_types;
    struct list node; /* in used (most recent last), or in gone */
    UT_hash_handle hh;
    char sql[];
};

struct stmts {
    struct stmt *by_sql; /* uthash */
    struct list used;
    struct list gone;   /* the server still holds them: DEALLOCATE */
    struct list lapsed; /* forgotten, perhaps still pointed at by the flight under way */
    uint64_t flight, made;
    uint64_t replan_at_ms, replan_after_ms; /* monotonic; the pause before the next time */
};

void stmts_init(struct stmts *s);
void stmts_free(struct stmts *s);
/* A flight begins: no pointer from the last one is in use any more. */
void stmts_begin(struct stmts *s);
/* The statement of that text, made when it is new. NULL: no room, all are used in this flight. */
struct stmt *stmts_get(struct stmts *s, const char *sql);
/* The same, but never made, and not counted as a use. NULL: there is none. */
const struct stmt *stmts_find(const struct stmts *s, const char *sql);
/* Its next use prepares anew. exists: the server still holds it under its name. */
void stmts_forget(struct stmts *s, struct stmt *st, bool exists);
/* Should the server plan its statements anew? A plan made while a table was (nearly) empty may read
 * all of it through the wrong index, and stays until somebody analyzes the table. So at first
 * often, then each minute, when autovacuum looks as well. */
bool stmts_replan(struct stmts *s);
/* The name of one that the server shall forget, valid until the next call; NULL: none. */
const char *stmts_next_gone(struct stmts *s, char name[24]);
#endif
