/* SPDX-License-Identifier: MIT */
/* jsapi - requests to JetStream's management subjects. Loop thread only. */
#ifndef RBF_JSAPI_H
#define RBF_JSAPI_H
#include "bus/bus.h"
#include <jansson.h>

#define JSAPI_TIMEOUT_MS 5000
enum jsapi_code {                            /* err_code of an answer */
                  JSAPI_SILENT = -1,         /* none came */
                  JSAPI_NO_PEERS = 10005,    /* for the replicas that are wanted */
                  JSAPI_UNAVAILABLE = 10008, /* a cluster without a leader */
                  JSAPI_CONSUMER_CREATE = 10012,
                  JSAPI_CONSUMER_EXISTS = 10013,
                  JSAPI_NO_CONSUMER = 10014,
                  JSAPI_OFF_FOR_ACCOUNT = 10039,
                  JSAPI_STREAM_EXISTS = 10058,
                  JSAPI_NO_STREAM = 10059,
                  JSAPI_SUBJECTS_OVERLAP = 10065,
                  JSAPI_REPLICAS = 10074,
                  JSAPI_OFF = 10076,
                  JSAPI_NOT_UNIQUE = 10099, /* a second consumer without filter */
                  JSAPI_FILTER_OVERLAP = 10100,
};

/* "$JS.API.<verb>.<stream>[.<consumer>]"; body is taken, NULL is allowed. As bus_request. */
uint64_t jsapi_call(struct bus *b, const char *verb, const char *stream, const char *consumer,
                    json_t *body, bus_cb cb, void *arg, struct err *err);
/* The answer in a bus_cb: new reference, or NULL with err; code gets err_code, JSAPI_SILENT, or 0.
 */
json_t *jsapi_answer(const struct bus_msg *m, const struct err *failed, int *code,
                     struct err *err) NODISCARD;
/* "2026-11-21T05:05:35.89906676Z" (or with an offset) in ns since the epoch; -1000000 (so that it
 * is negative in ms, too) when it is none. */
int64_t jsapi_time_ns(const json_t *text);
#endif
