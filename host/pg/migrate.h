/* SPDX-License-Identifier: MIT */
/* migrate - applies numbered .sql files once each. Blocking; for commands, never on the loop. */
#ifndef RBF_MIGRATE_H
#define RBF_MIGRATE_H
#include "base/buf.h"
#include <stdint.h>

/* Who looks on: called as a file begins, about each second of it, and with NULL when it is over. */
struct migrate_watch {
    void (*applying)(const char *file, void *arg);
    void *arg;
};
/* Applies the files NNN_name.sql of dir, in order, that rbf_migrations does not hold under (owner,
 * name): each in one transaction, all under one advisory lock, with its checksum. owner is "rbf"
 * for the host's own tables, "app" for the app's. A missing dir is fine (nothing to apply). watch
 * may be NULL. *applied counts. -1 with err: server and file:line of the failed statement, the
 * server's message; or that an applied file was changed since (name it and say: add a new file
 * instead). Before the host's first migration rbf_migrations is created if it is missing. */
int migrate_apply(const char *url, const char *owner, const char *dir,
                  const struct migrate_watch *watch, int *applied, struct err *err);
enum migrate_state {
    MIGRATE_APPLIED,
    MIGRATE_PENDING,
    MIGRATE_CHANGED, /* applied, and edited since: migrate_apply() refuses it */
    MIGRATE_GONE,    /* applied, and the file is no longer there: left alone */
};
struct migrate_file {
    const char *owner, *name;
    enum migrate_state state;
    int64_t applied_at; /* ms epoch; 0 when pending */
};
struct migrate_list {
    const char *owner, *dir;
    void (*each)(const struct migrate_file *f, void *arg); /* in order, then those gone */
    void *arg;
};
/* How the folder and the database compare; changes nothing and takes no lock. -1 with err. */
int migrate_list(const char *url, const struct migrate_list *l, struct err *err);
/* Appends all of dir's .sql files, for `rbf db:init` without --apply. */
int migrate_print(const char *dir, struct buf *out, struct err *err);
/* Checks that the host's tables are there and new enough; -1 with err that names the cure. Learns
 * what time it is there (clock_db_ms). */
int migrate_check(const char *url, const char *dir, struct err *err);
#endif
