/* SPDX-License-Identifier: MIT */
/* worker - the process that serves: one loop with NATS, PostgreSQL and Lua. It is told what to load
 * and when by its supervisor (wire/ctl.h on CTL_FD). */
#ifndef RBF_WORKER_H
#define RBF_WORKER_H
#include "base/config.h"

/* Runs until drained or told to stop; the exit code. share_dir holds lua/ and sql/. cfg is the
 * worker's: main.lua's options are added to it. */
int worker_main(struct config *cfg, const char *share_dir);
#endif
