/* SPDX-License-Identifier: MIT */
/* bus - one NATS connection on a libuv loop, without thread hops: libnats reads and writes from our
 * poll callbacks, all replies come to one inbox subscription and are told apart by a token. Loop
 * thread only, but for what libnats's own threads do behind bus_adapter.c. Nothing here blocks but
 * bus_new. While the server is away (bus_up() false) nothing of libnats is called, and sending
 * fails with ERR_BUS_DOWN at once. */
#ifndef RBF_BUS_H
#define RBF_BUS_H
#include "wire/envelope.h"
#include <uv.h>

struct bus;
struct config;

/* A message of the host's own: subject, headers and payload are copies or borrowed from the library
 * until bus_msg_delete. Who is handed one owns it. */
struct bus_msg {
    const char *subject;
    const char *reply; /* NULL when none; the ack subject for a stream's message */
    const char *data;
    size_t len;
    struct hdrs hdrs;
    int status;  /* of a server's status message (100, 404, 408, 409, 503 …); 0 for others */
    void *inner; /* natsMsg */
};
void bus_msg_delete(struct bus_msg *m); /* NULL is allowed */

struct bus_options {
    const char *url; /* nats:// or tls://[token@]host:port[,…]; borrowed for the call */
    /* Files (PEM), or NULL; one of the first three demands TLS, as tls:// does. The CAs are trusted
     * besides the system's; the server's certificate must bear the URL's host name or address. */
    const char *ca_file, *cert_file, *key_file;
    const char *creds_file; /* a JWT and its seed (.creds), read anew at each connect; or NULL */
    const char *name;       /* of the connection, as the server's monitoring shows it */
    int connect_timeout_ms; /* > 0; for each server of the URL, and for reconnects */
    /* Requests and stores that nobody listens to end at once with ERR_NOBODY, at the price of one
     * small message each. For connections that pull nothing; else their deadline tells. */
    bool tell_nobody;
    void (*on_change)(bool up, void *arg); /* after bus_new returned; may be NULL */
    /* The server refused us for good (credentials changed, a protocol error): it stays down, and
     * the process had better start again. May be NULL. */
    void (*on_closed)(const struct err *why, void *arg);
    void *arg;
};
/* With the URL and the files of c, borrowed; the rest is the caller's. */
struct bus_options bus_options_of(const struct config *c);
/* Connects (blocking, before the loop runs) and takes its inbox. NULL with err: the server's URL
 * without its secrets, what happened, what to do. */
struct bus *bus_new(uv_loop_t *loop, const struct bus_options *o, struct err *err) NODISCARD;
/* The same without blocking: on a thread of the loop's pool, and cb from the loop. bus is the
 * callee's; NULL with err. Comes before other threads make TLS connections. What o points to is
 * borrowed until cb. */
typedef void (*bus_open_cb)(struct bus *bus, const struct err *err, void *arg);
void bus_open(uv_loop_t *loop, const struct bus_options *o, bus_open_cb cb, void *arg);
bool bus_up(const struct bus *b);
const char *bus_inbox(const struct bus *b); /* prefix of the own inbox, without the token */
size_t bus_max_payload(const struct bus *b);
/* Closes, after what was published is written out; pending requests get ERR_SHUTDOWN from inside.
 * The loop must run once more after it for handles to close. While a reconnect is being tried it
 * may block for connect_timeout_ms. */
void bus_delete(struct bus *b);

/* Core publish. hdrs may be NULL. -1 with err when down or larger than max_payload (headers count).
 */
int bus_publish(struct bus *b, const char *subject, const char *reply, const struct hdrs *h,
                const void *data, size_t len, struct err *err);
/* "+ACK", "-NAK", "-NAK {\"delay\":ns}", "+WPI", "+TERM" to a stream message's reply subject.
 * Silently nothing when down: the message comes again then. */
void bus_ack(struct bus *b, const char *reply, const char *word);

/* One reply from the own inbox, or err (ERR_TIMEOUT, ERR_BUS_DOWN when the connection broke,
 * ERR_SHUTDOWN, ERR_NOBODY with tell_nobody). msg is borrowed for the call. */
typedef void (*bus_cb)(const struct bus_msg *msg, const struct err *err, void *arg);
/* Publishes with reply = an own inbox token, waits for one reply. Returns the request's number, for
 * bus_forget, or 0 with err when it could not be sent (then cb never comes). cb comes from the loop
 * later, never from inside this call. */
uint64_t bus_request(struct bus *b, const char *subject, const struct hdrs *h, const void *data,
                     size_t len, int timeout_ms, bus_cb cb, void *arg, struct err *err);
/* A token to be written into a Reply-To header: the same wait, without sending. subject gets the
 * full inbox subject. */
uint64_t bus_expect(struct bus *b, int timeout_ms, bus_cb cb, void *arg, struct buf *subject);
void bus_forget(struct bus *b, uint64_t request);
/* Calls back when the server has read everything published so far (an echo to the own inbox). */
uint64_t bus_echo(struct bus *b, int timeout_ms, bus_cb cb, void *arg, struct err *err);

/* Publishes into a stream and waits for the PubAck: err NULL when it is stored. stream and
 * duplicate as the server said; ERR_BUS with its text for an error answer or when no stream took it
 * (the caller's deadline: timeout_ms). */
typedef void (*bus_puback_cb)(const struct err *err, bool duplicate, void *arg);
uint64_t bus_store(struct bus *b, const char *subject, const struct hdrs *h, const void *data,
                   size_t len, int timeout_ms, bus_puback_cb cb, void *arg, struct err *err);
#endif
