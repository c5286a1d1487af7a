/* SPDX-License-Identifier: MIT */
/* ctl - frames between the supervisor and a worker, over a socket pair: length (u32, little endian,
 * of all that follows), type (one byte), payload. Pure functions; who does the I/O is elsewhere. */
#ifndef RBF_CTL_H
#define RBF_CTL_H
#include "base/buf.h"
#include <stdint.h>

#define CTL_FD 3 /* the worker's end, inherited */

enum ctl_type {
    /* supervisor → worker */
    CTL_PREPARE = 'P', /* u32 number of the generation, then a packed tree: build it */
    CTL_COMMIT = 'C',  /* u32, then when its files were read (monotonic ms, digits): let it take new
                          work from now on */
    CTL_ABORT = 'A',   /* u32: drop it, another worker refused it */
    CTL_DRAIN = 'D',   /* stop pulling, finish, exit 0 */
    /* worker → supervisor */
    CTL_PREPARED = 'p', /* u32, then JSON {"version","operations":[{type,queue,path,name}],"ms"} */
    CTL_REFUSED = 'r',  /* u32, then the message: file:line, what, cure */
    CTL_LIVE = 'l',     /* u32: that generation serves (after the first: connected and pulling) */
    CTL_BEAT = 'b',     /* empty, each second */
    CTL_FATAL = 'f',    /* message: this worker cannot start; it exits with 1 */
};

struct ctl_frame {
    enum ctl_type type;
    uint32_t number; /* of the generation; 0 for frames without */
    const char *payload;
    size_t len;
};

void ctl_put(struct buf *out, enum ctl_type type, uint32_t number, const void *payload, size_t n);
/* Takes one frame off the front of in: 1 and *used = its bytes, 0 when more is needed, -1 when the
 * stream is broken. The frame borrows from in until it is changed. */
int ctl_take(const struct buf *in, struct ctl_frame *out, size_t *used);
#endif
