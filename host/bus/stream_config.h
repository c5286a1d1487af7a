/* SPDX-License-Identifier: MIT */
/* stream_config - what a queue's stream and consumer must be, and what an existing one lacks.
 * Pure functions over JSON, any thread. */
#ifndef RBF_STREAM_CONFIG_H
#define RBF_STREAM_CONFIG_H
#include "bus/stream.h"
#include <jansson.h>

/* Bodies of the create requests; new references. */
json_t *stream_config_new(const struct stream_spec *spec);
json_t *consumer_config_new(const struct stream_spec *spec, const json_t *stream_config);
/* Compares an existing config with spec: 0 when it fits, 1 when it must be updated (config then
 * holds what to send), 2 (a consumer) when it must be deleted and made anew, with which nothing is
 * lost, -1 with err when it can never fit: stream, field, found, expected, cure. */
int stream_config_fit(const struct stream_spec *spec, json_t *config, struct err *err);
int consumer_config_fit(const struct stream_spec *spec, json_t *config, const json_t *stream_config,
                        struct err *err);
/* Does it need what can make a killed server withhold messages (see consumer_config_new): has the
 * stream other subjects, or other queues of the app? */
bool stream_config_is_shared(const struct stream_spec *spec, const json_t *stream_config);
/* Has it that? */
bool consumer_config_withholds(const json_t *config);
#endif
