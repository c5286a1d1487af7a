/* SPDX-License-Identifier: MIT */
/* What is logged (at most a pipe's 64 KiB) instead of standard error. */
#ifndef RBF_TEST_LOGCAPTURE_H
#define RBF_TEST_LOGCAPTURE_H
#include "base/buf.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>
/* cmocka wants the above first */
#include <cmocka.h>

static int log_saved = -1, log_reader = -1;

static inline void log_capture(void) {
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    log_saved = dup(STDERR_FILENO);
    dup2(ends[1], STDERR_FILENO);
    close(ends[1]);
    log_reader = ends[0];
}

/* Ends it; out gets the lines. */
static inline void log_captured(struct buf *out) {
    char bytes[4096];
    ssize_t n;
    dup2(log_saved, STDERR_FILENO); /* closes the pipe's last writing end */
    close(log_saved);
    while ((n = read(log_reader, bytes, sizeof bytes)) > 0)
        buf_put(out, bytes, (size_t)n);
    close(log_reader);
}
#endif
