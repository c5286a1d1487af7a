/* SPDX-License-Identifier: MIT */
/* secrets - what logs do not show: values under keys like password, token or Authorization, and
 * within texts bearer tokens and the passwords of URLs. In doubt it hides too much; it cannot know
 * a secret that stands in a text without a word before it. Any thread, but secrets_add. */
#ifndef RBF_SECRETS_H
#define RBF_SECRETS_H
#include "base/buf.h"
#include <jansson.h>
#include <stdbool.h>

#define SECRETS_HIDDEN "[redacted]"

/* More keys, "ssn,iban" (NULL: none), before threads begin. */
void secrets_add(const char *names);
/* Case, '-' and '_' do not count: "accessToken", "X-API-Key", "db_password". */
bool secrets_is_key(const char *key);
/* May there be any in s? Quick: most texts are told apart by it. */
bool secrets_suspected(const char *s);
/* Appends s without the secrets in it. */
void secrets_put(struct buf *out, const char *s, size_t n);
/* Hides the values in place; booleans and nulls are none. */
void secrets_hide(json_t *v);
#endif
