/* SPDX-License-Identifier: MIT */
#include "pg/pgarray.h"
#include <inttypes.h>

void pgarray_open(struct buf *b) {
    buf_reset(b);
    buf_putc(b, '{');
}

static void comma(struct buf *b) {
    if (b->len > 1)
        buf_putc(b, ',');
}

void pgarray_quote(struct buf *b, const char *text) {
    buf_putc(b, '"');
    for (const char *s = text; *s; s++) {
        if (*s == '"' || *s == '\\')
            buf_putc(b, '\\');
        buf_putc(b, *s);
    }
    buf_putc(b, '"');
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
