/* SPDX-License-Identifier: MIT */
/* gentypes - annotations of a generation for editors: what `rbf types` writes. */
#ifndef RBF_GENTYPES_H
#define RBF_GENTYPES_H
#include "vm/gen.h"

/* Appends the text (lua/rbf/types makes it). columns: JSON of columns_read, or NULL without a
 * database; *tables counts those in it. Before the generation has run anything. -1 with err. */
int gentypes_write(struct gen *g, const char *columns, struct buf *out, int *tables,
                   struct err *err) NODISCARD;
#endif
