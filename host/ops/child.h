/* SPDX-License-Identifier: MIT */
/* child - starts a process that ends with us: own process group, a signal when we die, no file of
 * ours but those it is given. Main thread only (the death signal follows the thread that forked).
 */
#ifndef RBF_CHILD_H
#define RBF_CHILD_H
#include "base/err.h"
#include <sys/types.h>

struct child_spec {
    const char *const *argv; /* argv[0] is the name it sees; NULL at the end */
    const char *exe;         /* path; NULL: argv[0] */
    const char *const *env;  /* NULL: ours */
    const char *dir;         /* working folder; NULL: ours */
    uid_t uid;               /* whom it runs as, with gid; only used when we are root */
    gid_t gid;
    int death_signal; /* sent to it when we die */
    int out_fd;       /* its standard output and error; -1: ours */
    int ctl_fd;       /* becomes its file 3 (CTL_FD); -1: none */
};

/* 0 with *pid; or -1 with err, also when the program could not be executed. */
int child_start(const struct child_spec *spec, pid_t *pid, struct err *err) NODISCARD;
/* Has it ended? true with *status (as of waitpid, reaped), false while it runs. Does not block. */
bool child_ended(pid_t pid, int *status);
/* Waits at most ms for its end; as child_ended(). */
bool child_wait(pid_t pid, int ms, int *status);
/* Sends signal, waits ms, then SIGKILLs and reaps it. */
void child_stop(pid_t pid, int signal, int ms);
/* "exit code 1", "signal 11 (Segmentation fault)": into text of n bytes. */
void child_describe(int status, char *text, unsigned n);
#endif
