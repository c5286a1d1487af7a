/* SPDX-License-Identifier: MIT */
/* client - requests to the hosts of an app, and their results: for `rbf exec` and `rbf
 * job:trigger`. It has a NATS connection of its own and consumes nothing. Loop thread only.
 *
 * Each call ends once, within its timeout. What was not stored, was answered with 503 or may have
 * lost its answer with the connection is sent again, always under the same request id, so that it
 * takes effect once. Waiting for NATS to come back is no retry. */
#ifndef RBF_CLIENT_H
#define RBF_CLIENT_H
#include "wire/envelope.h"
#include <uv.h>

struct client;
struct config;
/* Connects as cfg says (blocking, before the loop runs). NULL with err: what, and what to do. */
struct client *client_new(uv_loop_t *loop, const struct config *cfg, const char *name,
                          struct err *err) NODISCARD;
/* Forgets all calls and closes; the loop must run once more for handles to close. */
void client_delete(struct client *c);

enum client_way {
    CLIENT_STORE, /* into the queue's stream, the result to an inbox: mutations */
    CLIENT_ASK,   /* request-reply, in no stream: queries */
    CLIENT_LEAVE, /* into the queue's stream, and nobody waits for the result */
};
struct client_request { /* borrowed for the call */
    enum client_way way;
    const char *subject;     /* in full */
    const char *id;          /* the request id */
    const struct hdrs *hdrs; /* more headers; may be NULL */
    const char *body;
    size_t len;
    int timeout_ms;
    int retries;
};
#define CLIENT_STORED 202 /* CLIENT_LEAVE: NATS has it */
struct client_answer {
    int status;       /* HTTP-like */
    const char *body; /* what the host said; NULL: none did; then, unless it is stored: */
    size_t len;
    const char *code; /* UNAVAILABLE (503), TIMEOUT (504), BAD_REQUEST: it cannot be sent (400) */
    bool unknown;     /* no answer, and it may run all the same */
    const char *message; /* one line; names the id where asking again under it may help */
};
/* Begins a call; its number. Its answer is kept until somebody waits for it. */
uint64_t client_send(struct client *c, const struct client_request *r);
typedef void (*client_cb)(const struct client_answer *a, void *arg);
/* cb comes once, from inside when the answer is there already; then the number is gone. */
void client_wait(struct client *c, uint64_t call, client_cb cb, void *arg);
/* Nobody wants the answer (any more); an unknown number is allowed. */
void client_forget(struct client *c, uint64_t call);
#endif
