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
/* How an existing config fits spec. NEVER: with err (stream, field, found, expected, cure); UPDATE:
 * config then holds what to send; REMAKE (a consumer): delete it and make it anew, with which
 * nothing is lost. */
enum config_fit { FIT_NEVER = -1, FIT, FIT_UPDATE, FIT_REMAKE };
enum config_fit stream_config_fit(const struct stream_spec *spec, json_t *config, struct err *err);
enum config_fit consumer_config_fit(const struct stream_spec *spec, json_t *config,
                                    const json_t *stream_config, struct err *err);
/* Has the stream other subjects, or other queues of the app? Then its consumers need filters. */
bool stream_config_is_shared(const struct stream_spec *spec, const json_t *stream_config);
/* Can a killed server make this consumer withhold messages (consumer_config_new says how)? */
bool consumer_config_withholds(const json_t *config, const json_t *stream_config);
#endif
