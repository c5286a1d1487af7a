/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* vasprintf */
#include "base/buf.h"
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *or_abort(void *p) {
    if (p)
        return p;
    fputs("rbf: out of memory\n", stderr);
    abort();
}

void *xmalloc(size_t n) {
    return or_abort(malloc(n ? n : 1));
}

void *xcalloc(size_t n, size_t size) {
    return or_abort(calloc(n ? n : 1, size ? size : 1));
}

void *xrealloc(void *p, size_t n) {
    return or_abort(realloc(p, n ? n : 1));
}

char *xstrdup(const char *s) {
    return s ? or_abort(strdup(s)) : NULL;
}

char *xmemdup(const void *p, size_t n) {
    char *copy = xmalloc(n + 1);
    if (n)
        memcpy(copy, p, n);
    copy[n] = 0;
    return copy;
}

char *xasprintf(const char *fmt, ...) {
    char *text = NULL;
    va_list ap;
    va_start(ap, fmt);
    int n = vasprintf(&text, fmt, ap);
    va_end(ap);
    return n < 0 ? or_abort(NULL) : text;
}

void buf_reserve(struct buf *b, size_t extra) {
    if (extra >= SIZE_MAX / 2 - b->len)
        or_abort(NULL);
    size_t need = b->len + extra + 1; /* the NUL */
    if (need <= b->cap)
        return;
    size_t cap = b->cap ? b->cap : 64;
    while (cap < need)
        cap *= 2;
    b->p = xrealloc(b->p, cap);
    b->cap = cap;
    b->p[b->len] = 0;
}

void buf_put(struct buf *b, const void *bytes, size_t n) {
    buf_reserve(b, n);
    if (n)
        memcpy(b->p + b->len, bytes, n);
    b->len += n;
    b->p[b->len] = 0;
}

void buf_puts(struct buf *b, const char *s) {
    buf_put(b, s, strlen(s));
}

void buf_printf(struct buf *b, const char *fmt, ...) {
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    size_t room = b->cap - b->len;
    int n = vsnprintf(room ? b->p + b->len : NULL, room, fmt, ap);
    va_end(ap);
    if (n > 0 && (size_t)n >= room) {
        buf_reserve(b, (size_t)n);
        vsnprintf(b->p + b->len, (size_t)n + 1, fmt, again);
    }
    va_end(again);
    if (n > 0)
        b->len += (size_t)n;
    else if (room)
        b->p[b->len] = 0;
}

void buf_reset(struct buf *b) {
    b->len = 0;
    if (b->p)
        b->p[0] = 0;
}

void buf_free(struct buf *b) {
    free(b->p);
    memset(b, 0, sizeof *b);
}

char *buf_steal(struct buf *b) {
    char *p = b->p ? b->p : xmemdup("", 0);
    memset(b, 0, sizeof *b);
    return p;
}
