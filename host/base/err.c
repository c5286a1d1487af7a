/* SPDX-License-Identifier: MIT */
#include "base/err.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int err_set(struct err *e, enum err_kind kind, const char *fmt, ...) {
    if (!e)
        return -1;
    char msg[sizeof e->msg]; /* arguments may point into e itself: "reload failed: %s", e->msg */
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(msg, sizeof msg, fmt, ap);
    va_end(ap);
    e->kind = kind;
    e->sqlstate[0] = 0;
    memcpy(e->msg, msg, sizeof msg);
    return -1;
}

void err_clear(struct err *e) {
    if (e)
        memset(e, 0, sizeof *e);
}
