/* SPDX-License-Identifier: MIT */
/* workerproc - one worker as the supervisor sees it: its process, its channel of frames, when it
 * was last heard of, and its restart with a growing pause. Loop thread only. */
#ifndef RBF_WORKERPROC_H
#define RBF_WORKERPROC_H
#include "wire/ctl.h"
#include <stdbool.h>
#include <sys/types.h>
#include <uv.h>

struct workerproc;

/* What its owner is told; never from inside a call of the owner's, except started() and gone(). */
struct workerproc_events {
    void (*started)(struct workerproc *w, void *arg); /* a fresh process, nothing sent yet */
    void (*frame)(struct workerproc *w, const struct ctl_frame *f, void *arg);
    void (*gone)(struct workerproc *w, const char *how, void *arg); /* after its last frame */
};

struct workerproc {
    int slot;          /* 0 … workers-1 */
    pid_t pid;         /* 0: not running */
    uint64_t heard_ms; /* last frame, or its start */
    bool spoke;        /* has sent a frame */
    /* Rollout's: numbers of generations, 0 for none. */
    uint32_t asked; /* PREPARE sent, not answered */
    uint64_t asked_ms;
    uint32_t built;     /* PREPARED, neither COMMIT nor ABORT sent yet */
    uint32_t committed; /* COMMIT sent */
    uint32_t live;      /* LIVE received */
    uint64_t live_ms;   /* since when */
    bool served;        /* was live; told of a dead one, too */
    bool votes;         /* on the next generation */
    /* Private. */
    uv_loop_t *loop;
    const char *exe;
    char *const *argv;
    const struct workerproc_events *events;
    void *arg;
    struct channel *channel;
    uv_timer_t restart;
    unsigned pause_ms;
    bool resting; /* no restarts any more */
};

/* exe, argv and events are borrowed for its life. */
void workerproc_init(struct workerproc *w, int slot, uv_loop_t *loop, const char *exe,
                     char *const *argv, const struct workerproc_events *events, void *arg);
/* Starts it now; one that cannot be started is tried again later, logged. */
void workerproc_start(struct workerproc *w);
void workerproc_send(struct workerproc *w, enum ctl_type type, uint32_t number, const void *payload,
                     size_t n);
/* On SIGCHLD: has it ended? Hands out its last frames, then gone(), and plans the restart. */
void workerproc_reap(struct workerproc *w);
void workerproc_kill(struct workerproc *w);
void workerproc_rest(struct workerproc *w); /* it is not started again */
/* Kills and reaps it without further events; handles are closed by the loop. */
void workerproc_close(struct workerproc *w);
#endif
