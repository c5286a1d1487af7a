/* SPDX-License-Identifier: MIT */
/* progress - a bar on standard error for what takes longer than a second; nothing where that is no
 * terminal. Main thread only.
 *
 *     struct progress p = progress_begin("sending again", n);
 *     … progress_step(&p) …  progress_end(&p);
 */
#ifndef RBF_PROGRESS_H
#define RBF_PROGRESS_H
#include "base/buf.h"
#include <stdint.h>

struct progress {
    const char *what;
    int64_t total, done; /* total 0: nobody knows; done 0 too: how long it has taken is shown */
    uint64_t began_ms, drawn_ms;
};

struct progress progress_begin(const char *what, int64_t total);
void progress_step(struct progress *p);
void progress_tick(struct progress *p); /* time has passed, no more */
void progress_end(struct progress *p);  /* takes the bar away */
/* Appends the bar's line, for a terminal of that width, after so long. */
void progress_put(struct buf *out, const struct progress *p, int width, uint64_t elapsed_ms);
#endif
