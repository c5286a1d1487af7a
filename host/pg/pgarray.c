/* SPDX-License-Identifier: MIT */
#include "pg/pgarray.h"
#include <inttypes.h>
#include <string.h>

void pgarray_open(struct buf *b) {
    buf_reset(b);
    buf_putc(b, '{');
}

static void comma(struct buf *b) {
    if (b->len > 1)
        buf_putc(b, ',');
}

static void quote(struct buf *b, const char *text, size_t n) {
    buf_reserve(b, 2 * n + 2);
    char *to = b->p + b->len;
    *to++ = '"';
    for (const char *s = text; s < text + n; s++) {
        if (*s == '"' || *s == '\\')
            *to++ = '\\';
        *to++ = *s;
    }
    *to++ = '"';
    b->len = (size_t)(to - b->p);
    *to = 0;
}

void pgarray_quote(struct buf *b, const char *text) {
    quote(b, text, strlen(text));
}

void pgarray_add_n(struct buf *b, const void *text, size_t n) {
    comma(b);
    quote(b, text, n);
}

void pgarray_add(struct buf *b, const char *text) {
    comma(b);
    if (text)
        pgarray_quote(b, text);
    else
        buf_puts(b, "NULL");
}

void pgarray_add_int(struct buf *b, int64_t n) {
    comma(b);
    buf_printf(b, "%" PRId64, n);
}

void pgarray_close(struct buf *b) {
    buf_putc(b, '}');
}
