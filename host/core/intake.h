/* SPDX-License-Identifier: MIT */
/* intake - pulls messages from the queues' consumers, as many as there are free slots, and makes
 * tasks of them. Loop thread only. */
#ifndef RBF_INTAKE_H
#define RBF_INTAKE_H
#include "core/host.h"

struct queue; /* a queue's stream and pull; lives as long as the intake */

struct intake *intake_new(struct host *h) NODISCARD;
/* Brings the queues in line with h->gen: makes or checks streams and consumers of new ones, stops
 * pulling for those that are gone. cb once all are ready (err NULL) or one is refused (then nothing
 * is pulled for it). */
void intake_apply(struct intake *in, void (*cb)(const struct err *err, void *arg), void *arg);
/* Asks anew for what fits: after a task ended, or a server came back. */
void intake_refresh(struct intake *in);
/* Every 50 ms: what a queue ends in that time is what may wait for it here. */
void intake_tick(struct intake *in);
/* Stops pulling for good; what an open pull still brings is NAKed. */
void intake_drain(struct intake *in);
/* Ends the pulls, before the bus goes; the queues stay for callbacks that still come. */
void intake_close(struct intake *in);
void intake_delete(struct intake *in); /* closed before; NULL is allowed */

/* Names of the streams of all its queues, served here or not, and of those that are gone; NULL ends
 * them. The caller frees them and the array. */
char **intake_streams(const struct intake *in) NODISCARD;
/* Does this worker serve that queue (--queues)? */
bool intake_serves(const struct host *h, const char *queue);

const char *queue_name(const struct queue *q);
int64_t queue_ack_wait_ms(const struct queue *q);
void queue_task_ended(struct queue *q); /* one slot is free again */
#endif
