/* SPDX-License-Identifier: MIT */
/* hop - one request of a chain of redirects: what is sent where, and what the next one may carry.
 * Pure. Private to host/web. */
#ifndef RBF_HOP_H
#define RBF_HOP_H
#include "web/http.h"

struct hop {
    char method[16];
    char *url;
    char *origin; /* "https://host:443": where secrets may go */
    struct hdrs headers;
    char *body; /* or NULL */
    size_t body_len;
};

/* Copies. -1 with err: no URL of http or https. */
int hop_init(struct hop *h, const struct http_request *req, struct err *err) NODISCARD;
bool hop_is_redirect(int status);
/* Becomes the request that a redirect to url (absolute) asks for: 303, and 301 or 302 of a POST,
 * make it a GET. To another origin only headers go that hold no secrets. -1 with err: not
 * followed (no http, or from https to http). */
int hop_redirect(struct hop *h, int status, const char *url, struct err *err) NODISCARD;
void hop_free(struct hop *h);
#endif
