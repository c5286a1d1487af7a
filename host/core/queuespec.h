/* SPDX-License-Identifier: MIT */
/* queuespec - a queue of the app as JetStream is to have it: for the intake, and for commands that
 * look at queues from outside. Pure functions. */
#ifndef RBF_QUEUESPEC_H
#define RBF_QUEUESPEC_H
#include "base/config.h"
#include "bus/stream.h"
#include "vm/gen.h"

/* far above what workers hold: the server must never stop delivering because of it */
#define QUEUESPEC_MAX_ACK_PENDING 10000

/* The stream's name; the caller's. */
char *queuespec_stream(const struct config *cfg, const struct gen_queue *g);
/* Fills out for queue i of g; its texts are copies, freed by queuespec_free. */
void queuespec_fill(struct stream_spec *out, const struct config *cfg, const struct gen *g, int i);
void queuespec_free(struct stream_spec *s);
#endif
