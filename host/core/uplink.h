/* SPDX-License-Identifier: MIT */
/* uplink - a worker's end of the stream of frames (wire/ctl.h) between it and its supervisor. Loop
 * thread only. What frames mean is their reader's business. */
#ifndef RBF_UPLINK_H
#define RBF_UPLINK_H
#include "wire/ctl.h"
#include <uv.h>

struct uplink;

struct uplink_events {
    /* One whole frame; f is borrowed for the call. Not after uplink_close. */
    void (*frame)(const struct ctl_frame *f, void *arg);
    /* What came is no frame: nothing more of it can be understood. Once. */
    void (*broken)(void *arg);
    /* The supervisor has gone, or has closed its end. Once. */
    void (*gone)(void *arg);
};

/* Reads fd, which is taken, from now on. NULL when it is no stream; logged. events is borrowed. */
struct uplink *uplink_open(uv_loop_t *loop, int fd, const struct uplink_events *events,
                           void *arg) NODISCARD;
/* p is copied. Mostly written before it returns, so that a last word arrives although the process
 * ends now. A supervisor that is gone is told nothing, without error. */
void uplink_tell(struct uplink *u, enum ctl_type type, uint32_t number, const void *p, size_t n);
/* Reads no more and tells no more; its handle is closed by the loop. */
void uplink_close(struct uplink *u);
void uplink_delete(struct uplink *u); /* once that has come to its end; NULL is allowed */
#endif
