/* SPDX-License-Identifier: MIT */
/* js - questions to JetStream, one after the other, for commands. Blocking, main thread. */
#ifndef RBF_JS_H
#define RBF_JS_H
#include "base/config.h"
#include "bus/jsapi.h"

struct js;

/* name: of the connection, as the server's monitoring shows it. NULL with err. */
struct js *js_open(const struct config *cfg, const char *name, struct err *err) NODISCARD;
void js_close(struct js *j); /* NULL is allowed */
/* "$JS.API.<verb>[.<stream>[.<consumer>]]"; body is taken, NULL is allowed. The answer, a new
 * reference; NULL with err, and its err_code in *code (0: no answer). */
json_t *js_call(struct js *j, const char *verb, const char *stream, const char *consumer,
                json_t *body, int *code, struct err *err) NODISCARD;
/* All pages of STREAM.LIST or CONSUMER.LIST (then with the stream): an array of infos. */
json_t *js_list(struct js *j, const char *verb, const char *stream, const char *key,
                struct err *err) NODISCARD;
size_t js_max_payload(const struct js *j);
#endif
