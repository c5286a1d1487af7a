/* SPDX-License-Identifier: MIT */
/* pgtypes - what a column's text stands for. Pure functions, any thread. */
#ifndef RBF_PGTYPES_H
#define RBF_PGTYPES_H
#include "base/buf.h"
#include <stddef.h>

enum pgkind {
    PGKIND_TEXT, /* everything that has no better form in Lua: text, uuid, timestamps, numeric, … */
    PGKIND_INT,   /* int2, int4, int8, oid: a number within ±2^53 */
    PGKIND_FLOAT, /* float4, float8 */
    PGKIND_BOOL,  /* "t" or "f" */
    PGKIND_JSON,  /* json, jsonb */
    PGKIND_BYTEA, /* "\x…" */
};
/* array: set to true when the type is an array of that kind (built-in array types only). */
enum pgkind pgtype_kind(unsigned oid, bool *array);

/* False: a type of an extension or of the user's, or a rare one; pg_type tells more. */
bool pgtype_known(unsigned oid);
/* The type of its arrays; 0 when it is not known, or is one. */
unsigned pgtype_array_of(unsigned oid);

/* Walks an array literal ("{1,NULL,\"a b\"}", "{{1,2},{3,4}}", "[0:1]={…}"): open and close around
 * each dimension, item for each element (NULL text for SQL NULL; len bytes, unescaped, valid during
 * the call). A callback returns 0 to go on. -1 with err (ERR_INVALID) when text is no array. */
struct pgarray_visitor {
    int (*open)(void *arg);
    int (*item)(const char *text, size_t len, void *arg);
    int (*close)(void *arg);
    void *arg;
};
int pgarray_walk(const char *text, const struct pgarray_visitor *v, struct err *err);
/* Decodes bytea's hex form into a malloc'd block of *len bytes; NULL with err when it is none. */
char *pgbytea_decode(const char *text, size_t *len, struct err *err) NODISCARD;
/* Appends bytes in that form. */
void pgbytea_encode(struct buf *out, const char *bytes, size_t n);
#endif
