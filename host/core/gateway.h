/* SPDX-License-Identifier: MIT */
/* gateway - plain NATS request-reply: "<prefix>rpc.<queue subject>.<path>", in no stream, one
 * queue-group subscription for each operation's pattern, so that a path nobody has is "no
 * responders" at once. Loop thread only.
 *
 * A query is run and answered here. A mutation is put into its stream with the caller's reply
 * subject as Reply-To, and the worker that runs it answers. The caller gets exactly one message:
 * - a query: its result or an error; 503 when the worker has too much in hand, when PostgreSQL
 *   cannot be found within GATEWAY_WAIT_MS, or when the host ends first;
 * - a mutation: its outcome; 503 when it is certain that its stream does not have it. Where that
 *   cannot be found out (no PubAck within GATEWAY_STORE_MS, repeated under one Nats-Msg-Id) nothing
 *   is said: an error could be a second message, and a lie. The caller runs into its own timeout,
 *   which says as much, and asks again under the same request id.
 * Without a reply subject that may be written to (see reply_allowed) a request is dropped. */
#ifndef RBF_GATEWAY_H
#define RBF_GATEWAY_H
#include "core/host.h"

#define GATEWAY_WAIT_MS 5000   /* for a slot and a connection */
#define GATEWAY_STORE_MS 30000 /* well below the streams' duplicate window of two minutes */

struct gateway *gateway_new(struct host *h) NODISCARD;
/* Subscribes to the operations of h->gen, and no longer to those that are gone. cb when the server
 * knows it (or is away: then it is told when it is back). */
void gateway_apply(struct gateway *g, void (*cb)(void *arg), void *arg);
/* Takes no more; what the server had sent by then is still answered. */
void gateway_drain(struct gateway *g);
/* Drained, and nothing in hand but tasks. */
bool gateway_idle(const struct gateway *g);
/* Out of time: tells everybody that can be told. */
void gateway_give_up(struct gateway *g);
/* Often: answers those that waited too long. */
void gateway_tick(struct gateway *g);
void gateway_task_ended(struct gateway *g); /* one of its queries */
void gateway_close(struct gateway *g);      /* before the bus goes */
void gateway_delete(struct gateway *g);     /* after it; NULL is allowed */
#endif
