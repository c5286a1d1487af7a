/* SPDX-License-Identifier: MIT */
#include "web/transfer.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define HEAD_MAX (256 * 1024)

/* ---- what comes ---- */

static void add_header(struct transfer *t, char *line) {
    char *colon = strchr(line, ':');
    if (!colon || colon == line || isspace((unsigned char)*line))
        return;
    *colon = 0;
    char *value = colon + 1 + strspn(colon + 1, " \t");
    size_t n = strcspn(value, "\r\n");
    while (n && isspace((unsigned char)value[n - 1]))
        n--;
    value[n] = 0;
    for (char *p = line; *p; p++)
        *p = (char)tolower((unsigned char)*p);
    hdrs_add(&t->headers, line, value);
}

/* One line each, also of what went before (100 Continue) and of what comes after the body. */
static size_t on_header(char *p, size_t size, size_t n, void *arg) {
    struct transfer *t = arg;
    t->head_bytes += n;
    if (t->head_bytes > HEAD_MAX) {
        t->too_large = true;
        return 0;
    }
    if (t->in_body)
        return n;
    if (n >= 5 && !memcmp(p, "HTTP/", 5)) {
        hdrs_free(&t->headers);
        return n;
    }
    char *line = xmemdup(p, n);
    add_header(t, line);
    free(line);
    return n;
}

static size_t on_body(char *p, size_t size, size_t n, void *arg) {
    struct transfer *t = arg;
    t->in_body = true;
    if (n > t->max_bytes - t->body.len) {
        t->too_large = true;
        return 0;
    }
    buf_put(&t->body, p, n);
    return n;
}

/* ---- what goes ---- */

static void add_line(struct transfer *t, const char *name, const char *value) {
    /* "Name;" is libcurl's way to write an empty one */
    char *line = *value ? xasprintf("%s: %s", name, value) : xasprintf("%s;", name);
    t->lines = curl_slist_append(t->lines, line);
    free(line);
}

static void put_headers(struct transfer *t, const struct hop *hop) {
    for (size_t i = 0; i < hop->headers.n; i++)
        add_line(t, hop->headers.v[i].name, hop->headers.v[i].value);
    t->lines = curl_slist_append(t->lines, "Expect:"); /* none: it waits a second for an answer */
    if (!hdrs_get(&hop->headers, "Content-Type"))      /* else it claims that a form is sent */
        t->lines = curl_slist_append(t->lines, "Content-Type:");
    if (!hdrs_get(&hop->headers, "User-Agent"))
        t->lines = curl_slist_append(t->lines, "User-Agent: rbf");
    curl_easy_setopt(t->easy, CURLOPT_HTTPHEADER, t->lines);
}

static void put_method(CURL *easy, const struct hop *hop) {
    const char *m = hop->method;
    if (!strcmp(m, "HEAD")) {
        curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
        return;
    }
    if (hop->body || !strcmp(m, "POST") || !strcmp(m, "PUT") || !strcmp(m, "PATCH")) {
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, hop->body ? hop->body : "");
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)hop->body_len);
    }
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, m);
}

/* With a CAPATH (Debian presets one) libcurl reads all CAs again for each connection, and the loop
 * stands still meanwhile: 18 ms measured. Without it the store is kept: 0.5 ms. */
static void put_trust(CURL *easy, const char *ca_file) {
    curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
    if (ca_file)
        curl_easy_setopt(easy, CURLOPT_CAINFO, ca_file);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
}

static void put_limits(CURL *easy) {
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L); /* hop.c knows what may go along */
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_PROXY, ""); /* whatever the environment says */
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "");
    /* a name is being resolved by a thread of libcurl's: do not wait for that when it is ended */
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
}

void transfer_begin(struct transfer *t, const struct hop *hop, const char *ca_file,
                    size_t max_bytes, void *arg) {
    memset(t, 0, sizeof *t);
    t->max_bytes = max_bytes;
    t->easy = curl_easy_init();
    if (!t->easy)
        abort(); /* out of memory */
    put_limits(t->easy);
    put_trust(t->easy, ca_file);
    put_method(t->easy, hop);
    put_headers(t, hop);
    curl_easy_setopt(t->easy, CURLOPT_URL, hop->url);
    curl_easy_setopt(t->easy, CURLOPT_PRIVATE, arg);
    curl_easy_setopt(t->easy, CURLOPT_ERRORBUFFER, t->why);
    curl_easy_setopt(t->easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(t->easy, CURLOPT_HEADERDATA, t);
    curl_easy_setopt(t->easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(t->easy, CURLOPT_WRITEDATA, t);
}

void *transfer_arg(CURL *easy) {
    char *arg = NULL;
    curl_easy_getinfo(easy, CURLINFO_PRIVATE, &arg);
    return arg;
}

int transfer_status(const struct transfer *t) {
    long status = 0;
    curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
    return (int)status;
}

const char *transfer_location(const struct transfer *t) {
    const char *url = NULL;
    curl_easy_getinfo(t->easy, CURLINFO_REDIRECT_URL, &url);
    return url;
}

static const char *code_of(CURLcode rc) {
    switch (rc) {
    case CURLE_URL_MALFORMAT:
        return "HTTP_URL";
    case CURLE_COULDNT_RESOLVE_HOST:
        return "HTTP_RESOLVE";
    case CURLE_COULDNT_CONNECT:
        return "HTTP_CONNECT";
    case CURLE_OPERATION_TIMEDOUT: /* libcurl's own limit for connecting: five minutes */
        return "HTTP_TIMEOUT";
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_ISSUER_ERROR:
        return "HTTP_TLS";
    default:
        return "HTTP_BROKEN";
    }
}

const char *transfer_fault(const struct transfer *t, CURLcode rc, const char **why) {
    *why = *t->why ? t->why : curl_easy_strerror(rc);
    return code_of(rc);
}

void transfer_end(struct transfer *t) {
    if (t->easy)
        curl_easy_cleanup(t->easy);
    curl_slist_free_all(t->lines);
    hdrs_free(&t->headers);
    buf_free(&t->body);
    memset(t, 0, sizeof *t);
}
