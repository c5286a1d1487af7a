/* SPDX-License-Identifier: MIT */
/* pgarray - writes array literals for parameters: one text parameter carries a whole column, so
 * that one statement inserts or finds any number of rows (unnest). Pure functions, any thread. */
#ifndef RBF_PGARRAY_H
#define RBF_PGARRAY_H
#include "base/buf.h"
#include <stdint.h>

void pgarray_open(struct buf *b);
void pgarray_add(struct buf *b, const char *text); /* NULL for SQL NULL; quoted and escaped */
void pgarray_add_n(struct buf *b, const void *text, size_t n);
/* The same for those who write braces and commas themselves. */
void pgarray_quote(struct buf *b, const char *text);
void pgarray_add_int(struct buf *b, int64_t n);
void pgarray_close(struct buf *b); /* then b->p is the literal */
#endif
