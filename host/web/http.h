/* SPDX-License-Identifier: MIT */
/* http - requests to other servers, on the loop: many at once, none of which blocks it. TLS is
 * always verified, proxies of the environment are ignored, no cookie or password is remembered.
 * Loop thread only, and never from inside libcurl. HTTP/1.1: a connection carries one request at a
 * time, and is kept for the next. What is more than the limits waits its turn, its time running.
 *
 * curl.h is known to this floor alone. */
#ifndef RBF_HTTP_H
#define RBF_HTTP_H
#include "wire/envelope.h"
#include <uv.h>

struct http;
struct http_call; /* one request under way, with its redirects */

struct http_options {
    const char *ca_file; /* PEM: trusted instead of the system's; NULL: the system's */
    int max_total;       /* requests on the wire at once; 0: 128 */
    int max_host;        /* of them to one scheme, host and port; 0: 32 */
};

struct http_request {   /* all of it is copied by http_send */
    const char *method; /* upper case, shorter than 16 */
    const char *url;    /* http or https */
    const struct hdrs *headers;
    const char *body; /* NULL: none */
    size_t body_len;
    uint64_t timeout_ms; /* of the whole: waiting, redirects, body */
    size_t max_bytes;    /* of the answer's body, as it is when unpacked */
    int redirects;       /* followed at most; 0: the redirect itself is the answer */
};

struct http_answer { /* whatever its status; borrowed during the callback */
    int status;
    const char *url; /* of the last redirect */
    const struct hdrs *headers;
    const char *body; /* unpacked (gzip, deflate, br, zstd) */
    size_t len;
};

/* No answer. code is a constant: HTTP_URL, HTTP_RESOLVE, HTTP_CONNECT, HTTP_TLS, HTTP_TIMEOUT,
 * HTTP_TOO_LARGE, HTTP_REDIRECTS, HTTP_BROKEN (the connection broke, or no HTTP came). message has
 * method, scheme and host, but not the rest of the URL, which may hold secrets. */
struct http_error {
    const char *code;
    char message[1400];
};

/* One of both is NULL. The call is gone. */
typedef void (*http_cb)(const struct http_answer *answer, const struct http_error *error,
                        void *arg);

/* Copies its options. */
struct http *http_new(uv_loop_t *loop, const struct http_options *o) NODISCARD;
/* cb comes later, never from inside. NULL with error set when the URL cannot be used. */
struct http_call *http_send(struct http *h, const struct http_request *req, http_cb cb, void *arg,
                            struct http_error *error) NODISCARD;
/* Forgets it: its connection is closed, cb never called. */
void http_cancel(struct http_call *c);
/* Forgets what is under way; never from a cb. Handles close in the loop's next turn. NULL is fine.
 */
void http_delete(struct http *h);
#endif
