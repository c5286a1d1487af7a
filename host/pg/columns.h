/* SPDX-License-Identifier: MIT */
/* columns - the tables of a database, for `rbf types`. Blocking; for commands, never on the loop.
 */
#ifndef RBF_COLUMNS_H
#define RBF_COLUMNS_H
#include "base/buf.h"

/* Appends JSON: {"tables":[{"schema","name","visible","columns":[{"name","type","sql","not_null",
 * "default","generated","dimensions"}]}],"types":{"<oid>":{"name","kind","category","base",
 * "element","not_null","builtin","labels"}}}. Tables and views outside of PostgreSQL's own schemas
 * and without the host's, by schema and name; columns in their order; the types of the columns and
 * what those are made of. -1 with err. */
int columns_read(const char *url, struct buf *json, struct err *err);
#endif
