/* SPDX-License-Identifier: MIT */
/* stream - the JetStream side of a queue: its stream and durable consumer, made or checked at start
 * (raw $JS.API requests on the loop), and pulls by hand. Loop thread only. */
#ifndef RBF_STREAM_H
#define RBF_STREAM_H
#include "bus/bus.h"

struct stream_spec {
    const char *stream, *consumer; /* names */
    const char *subjects;          /* "<prefix><queue subject>.>" */
    const char *description;       /* of the stream: names its namespace, "rbf namespace default" */
    int64_t ack_wait_ms;
    int64_t max_ack_pending; /* at least 1000 */
    int replicas;
    bool shared; /* other queues of the app are in this stream, too */
};
/* Creates what is missing (in a stream of one queue and one replica the consumer in memory: with a
 * new server process it is missing, and all that is stored is delivered anew; a consumer not before
 * the stream has answered a message, which the host must be allowed to publish to subjects: else
 * ERR_TIMEOUT; a cluster without leaders, or that is not whole, is waited for, PATIENCE_MS);
 * updates what may be updated (description of ours, ack_wait, max_ack_pending, replicas, subjects
 * by adding ours); refuses with err what cannot be (retention, storage of the stream if it is not
 * file or memory, filter, ack_policy, deliver_policy, a stream whose description names another
 * namespace): one line naming stream, field, found, expected, what to do. spec is borrowed until
 * cb. */
typedef void (*stream_cb)(const struct err *err, void *arg);
void stream_ensure(struct bus *b, const struct stream_spec *spec, stream_cb cb, void *arg);

/* Does a stream take this subject? 0, and cb comes later from the loop; -1: not asked (down). */
typedef void (*stream_lookup_cb)(bool exists, const struct err *err, void *arg);
int stream_lookup(struct bus *b, const char *subject, stream_lookup_cb cb, void *arg);

/* When was the oldest message stored that somebody may still be given? Looks at the streams with
 * that description and at those named (NULL ends them; they need not exist). A message counts until
 * it is acked; one that no consumer takes counts too. err: it cannot be told now. ages are borrowed
 * for the call. 0, and cb comes once, mostly later from the loop; -1: not asked (down). */
struct stream_age {
    const char *stream;
    int64_t oldest_ms; /* ms epoch by the server's clock; INT64_MAX: all that was stored is acked */
    int64_t first_seq; /* all before has left the stream */
};
typedef void (*stream_oldest_cb)(const struct stream_age *ages, int n, const struct err *err,
                                 void *arg);
int stream_oldest(struct bus *b, const char *description, const char *const *names,
                  stream_oldest_cb cb, void *arg);

/* pull: asks a consumer for messages, never for more than its owner wants. */
struct pull;
/* m is handed over. */
typedef void (*pull_msg_cb)(struct pull *p, struct bus_msg *m, void *arg);
/* The consumer is gone and must be ensured again (then pull_resume). */
typedef void (*pull_gone_cb)(struct pull *p, const struct err *err, void *arg);
struct pull *pull_new(struct bus *b, const char *stream, const char *consumer, pull_msg_cb on_msg,
                      pull_gone_cb on_gone, void *arg) NODISCARD;
/* How many more messages the owner can take now; each message handed over lowers it by one. Sends a
 * pull request when less than half of it is still outstanding, for the difference; lowering it
 * sends nothing (what was asked for may still come). Requests expire after 30 s on the server and a
 * second later here, and are renewed; after two missed idle heartbeats (5 s each) the consumer is
 * asked for, and if it is silent again though it is there, the log says so. Outstanding requests
 * die with a connection; when it is back the consumer is asked for (a server that was started anew
 * has none), and then they are sent again. */
void pull_want(struct pull *p, int n);
int pull_outstanding(const struct pull *p);
void pull_resume(struct pull *p);
/* No pull of this connection brings anything any more: what the server sent before it reads this
 * still comes (a bus_echo later nothing does), the rest it gives to others at once, as if it had
 * never been asked. For good. */
void pulls_end(struct bus *b);
/* The server forgets all requests, and is asked anew for what is wanted now: what was promised
 * before goes to others. What it had sent still comes. */
void pulls_renew(struct bus *b);
void pull_delete(struct pull *p); /* what its requests still bring is NAKed */
#endif
