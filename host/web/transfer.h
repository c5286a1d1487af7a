/* SPDX-License-Identifier: MIT */
/* transfer - one hop as libcurl sees it: options going in, headers and body coming out.
 * Loop thread only. Private to host/web. */
#ifndef RBF_TRANSFER_H
#define RBF_TRANSFER_H
#include "web/hop.h"
#include <curl/curl.h>

struct transfer {
    CURL *easy;
    struct curl_slist *lines; /* the request's headers */
    struct hdrs headers;      /* the answer's */
    struct buf body;
    size_t head_bytes, max_bytes;
    bool in_body, too_large;
    char why[CURL_ERROR_SIZE];
};

/* Borrows hop until transfer_end. arg comes back from transfer_arg. */
void transfer_begin(struct transfer *t, const struct hop *hop, const char *ca_file,
                    size_t max_bytes, void *arg);
void *transfer_arg(CURL *easy);
int transfer_status(const struct transfer *t);
/* Where a redirect points, absolute; NULL when nowhere. Valid until transfer_end. */
const char *transfer_location(const struct transfer *t);
/* The code for rc, which is not OK, and why in words (borrowed). */
const char *transfer_fault(const struct transfer *t, CURLcode rc, const char **why);
void transfer_end(struct transfer *t); /* after it was removed from its multi; twice is fine */
#endif
