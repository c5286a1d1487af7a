/* SPDX-License-Identifier: MIT */
/* gate - the specs that stand before a new generation (rbf dev --gate): those that depend on what
 * has changed are run in a process of their own, on the very bytes that would go live, while the
 * old code serves on. Loop thread only; does not block, but for the start of that process. */
#ifndef RBF_GATE_H
#define RBF_GATE_H
#include "base/tree.h"
#include <uv.h>

/* The process gets the tree as file 3 (packed; RBF_TEST_TREE says so), and what has changed as
 * RBF_TEST_CHANGED; it ends with 0 when the specs pass. On its output: a line "\1WHAT" before each
 * spec; at the end "\2", a line that sums up, and the page for the user. Output without "\2" is
 * why the specs could not be run. */
struct gate_options {
    const char *exe;     /* NULL: /proc/self/exe */
    char *const *argv;   /* what runs the specs, NULL at the end; borrowed */
    const char *depends; /* a file of ours, emptied at first: which spec uses what */
    int64_t timeout_ms;
};

struct gate_verdict { /* borrowed during the call */
    bool green;
    const char *summary; /* one line: "7 specs passed" */
    const char *details; /* lines for the user, "" when there are none */
    uint64_t ms;
};
typedef void (*gate_cb)(const struct gate_verdict *v, void *arg);

struct gate;
/* Borrows o. cb comes from gate_reap() or the loop. NULL with err: depends cannot be written. */
struct gate *gate_new(uv_loop_t *loop, const struct gate_options *o, gate_cb cb, void *arg,
                      struct err *err) NODISCARD;
/* May next take the place of live? true: yes, its specs have passed, or there are none. false: not
 * now; they run, and cb will tell, or they are red and nothing has changed since (unless again). A
 * run for other files is ended. */
bool gate_let(struct gate *g, const struct tree *live, const struct tree *next, bool again);
/* t serves in all workers: what changes from here on is what specs are chosen by. */
void gate_live(struct gate *g, const struct tree *t);
/* The files are those that run: ends a run, forgets a verdict. Was there one? */
bool gate_forget(struct gate *g);
void gate_reap(struct gate *g);   /* on SIGCHLD */
void gate_delete(struct gate *g); /* ends its run; the memory goes with the loop's close callbacks;
                                     NULL is allowed */
#endif
