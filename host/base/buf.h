/* SPDX-License-Identifier: MIT */
/* buf - a growable byte string. Out of memory aborts. Always NUL-terminated once written to. */
#ifndef RBF_BUF_H
#define RBF_BUF_H
#include "base/err.h"
#include <stdarg.h>
#include <stddef.h>

struct buf {
    char *p; /* NULL until first written */
    size_t len, cap;
};

void buf_put(struct buf *b, const void *bytes, size_t n);
void buf_puts(struct buf *b, const char *s);
void buf_printf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
void buf_reserve(struct buf *b, size_t extra);
static inline void buf_putc(struct buf *b, char c) {
    if (b->cap - b->len < 2)
        buf_reserve(b, 1);
    b->p[b->len++] = c;
    b->p[b->len] = 0;
}
void buf_reset(struct buf *b);  /* keeps the memory */
void buf_free(struct buf *b);   /* and zeroes it, so that it may be used again */
char *buf_steal(struct buf *b); /* caller frees; "" when nothing was written */

/* malloc, strdup and friends that abort when memory is out. */
void *xmalloc(size_t n);
void *xcalloc(size_t n, size_t size);
void *xrealloc(void *p, size_t n);
char *xstrdup(const char *s);           /* NULL gives NULL */
char *xmemdup(const void *p, size_t n); /* n bytes and a NUL behind them */
char *xasprintf(const char *fmt, ...) PRINTF_LIKE(1, 2);
#endif
