/* SPDX-License-Identifier: MIT */
/* statedir - the folder of one `rbf dev`: its lock, and where the servers' data is: each app has
 * its own, as two may well have a table of the same name. Blocking. */
#ifndef RBF_STATEDIR_H
#define RBF_STATEDIR_H
#include "base/err.h"
#include <sys/types.h>

struct statedir {
    char *path;   /* absolute: lock and dev.json */
    char *home;   /* absolute: the servers' data; path itself, or elsewhere when that will not do */
    char *suffix; /* of what is the app's own in home: "" or "-<its folder's name>-<hash>" */
    uid_t uid;    /* whom the servers run as */
    gid_t gid;
    int lock_fd; /* held open while the run lives; -1: none */
};

/* Creates and locks the folder (NULL: .rbf) and finds home. app_dir: borrowed; NULL: of no app, as
 * one that is not there. -1 with err: not ours, or a live run in
 * it (named by its pid). On failure nothing is held. */
int statedir_open(struct statedir *s, const char *path, const char *app_dir,
                  struct err *err) NODISCARD;
void statedir_close(struct statedir *s);
/* home/name as a folder of the servers' user, 0700; the path is the caller's. NULL with err. */
char *statedir_subfolder(const struct statedir *s, const char *name, struct err *err) NODISCARD;
/* home/name as a file for writing, emptied when fresh; readable for the servers' user only. */
int statedir_file(const struct statedir *s, const char *name, bool fresh,
                  struct err *err) NODISCARD;
/* The pid of the live run in the folder (NULL: .rbf); 0 when there is none. */
pid_t statedir_owner(const char *path);
/* Ends what a crashed run left: processes named program whose working folder is dir. -1 with err
 * when they do not end. */
int statedir_end_orphans(const char *dir, const char *program, struct err *err) NODISCARD;
/* rm -r; a path that is not there is fine. */
void statedir_remove(const char *path);
#endif
