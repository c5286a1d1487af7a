/* SPDX-License-Identifier: MIT */
/* settings - what main.lua of a new generation says of the host's settings. They are read once,
 * when a worker starts: a reload changes code and queues only. */
#ifndef RBF_SETTINGS_H
#define RBF_SETTINGS_H
#include "base/config.h"
#include "vm/gen.h"

/* -1 with err: a worker could not start with them, so the generation is refused. */
int settings_check(const struct gen *g, struct err *err) NODISCARD;
/* Names in one log line those that differ from the running ones, where neither flag nor environment
 * decides. */
void settings_tell(const struct config *running, const struct gen *g);
#endif
