/* SPDX-License-Identifier: MIT */
/* jsonval - JSON as this host accepts and writes it: jansson, with the rules that make a value
 * survive Lua and PostgreSQL's jsonb unchanged. Strict UTF-8, no \u0000, depth at most 512,
 * integers within ±2^53 (beyond: an error that says to send a string). Any thread. */
#ifndef RBF_JSONVAL_H
#define RBF_JSONVAL_H
#include "base/buf.h"
#include <jansson.h>

/* Any JSON value; empty or blank text is null. NULL with err (ERR_INVALID: where, what) when it
 * is not JSON. Caller decrefs. */
json_t *jsonval_read(const char *text, size_t n, struct err *err) NODISCARD;
/* Appends compact text, key order kept, slashes not escaped. */
void jsonval_write(struct buf *out, const json_t *v);
/* Appends s as a JSON string with its quotes. 0, or -1 with err when s is not UTF-8 or holds NUL.
 */
int jsonval_put_string(struct buf *out, const char *s, size_t n, struct err *err);
/* Appends a number: integers within ±2^53 as integers, others with %.17g. -1 for NaN and ±inf. */
int jsonval_put_number(struct buf *out, double d, struct err *err);
/* Equal as JSON values: objects in any key order, numbers by value (1 and 1.0 are equal). */
bool jsonval_same(const json_t *a, const json_t *b);
/* Equal as above, from text; false when either is not JSON. Equal bytes are equal. */
bool jsonval_same_text(const char *a, size_t an, const char *b, size_t bn);
/* Is s valid UTF-8 without NUL? */
bool jsonval_is_utf8(const char *s, size_t n);
#endif
