/* SPDX-License-Identifier: MIT */
#include "web/hop.h"
#include <ctype.h>
#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* A part of u as text; "" when it has none. curl_free frees it, but so does free. */
static char *part(CURLU *u, CURLUPart which) {
    char *text = NULL;
    if (curl_url_get(u, which, &text, CURLU_DEFAULT_PORT))
        return xstrdup("");
    char *copy = xstrdup(text);
    curl_free(text);
    return copy;
}

/* "https://host:443", in lower case; NULL with err. Caller frees. */
static char *origin_of(const char *url, struct err *err) {
    CURLU *u = curl_url();
    char *origin = NULL;
    CURLUcode rc = curl_url_set(u, CURLUPART_URL, url, CURLU_NON_SUPPORT_SCHEME);
    char *scheme = part(u, CURLUPART_SCHEME), *host = part(u, CURLUPART_HOST);
    char *port = part(u, CURLUPART_PORT);
    if (rc)
        err_set(err, ERR_INVALID, "the URL cannot be read (%s)", curl_url_strerror(rc));
    else if (strcmp(scheme, "http") && strcmp(scheme, "https"))
        err_set(err, ERR_INVALID, "it begins with %.20s://, only http:// and https:// can be asked",
                scheme);
    else
        origin = xasprintf("%s://%s:%s", scheme, host, port);
    for (char *p = origin; p && *p; p++)
        *p = (char)tolower((unsigned char)*p);
    free(scheme);
    free(host);
    free(port);
    curl_url_cleanup(u);
    return origin;
}

int hop_init(struct hop *h, const struct http_request *req, struct err *err) {
    memset(h, 0, sizeof *h);
    h->origin = origin_of(req->url, err);
    if (!h->origin)
        return -1;
    snprintf(h->method, sizeof h->method, "%s", req->method);
    h->url = xstrdup(req->url);
    for (size_t i = 0; req->headers && i < req->headers->n; i++)
        hdrs_add(&h->headers, req->headers->v[i].name, req->headers->v[i].value);
    if (req->body) {
        h->body = xmemdup(req->body, req->body_len);
        h->body_len = req->body_len;
    }
    return 0;
}

bool hop_is_redirect(int status) {
    return (status >= 301 && status <= 303) || status == 307 || status == 308;
}

static void become_get(struct hop *h) {
    strcpy(h->method, "GET");
    free(h->body);
    h->body = NULL;
    h->body_len = 0;
    hdrs_drop(&h->headers, "Content-Type");
    hdrs_drop(&h->headers, "Content-Encoding");
    hdrs_drop(&h->headers, "Content-Language");
    hdrs_drop(&h->headers, "Idempotency-Key");
}

static bool is_harmless(const char *name) {
    static const char *const names[] = {"Accept",          "Accept-Encoding",  "Accept-Language",
                                        "Content-Type",    "Content-Encoding", "Content-Language",
                                        "Idempotency-Key", "User-Agent",       NULL};
    for (const char *const *n = names; *n; n++)
        if (!strcasecmp(name, *n))
            return true;
    return false;
}

/* Authorization and Cookie are not the only secrets: X-Api-Key and its like are any name. */
static void drop_secrets(struct hdrs *headers) {
    struct hdrs kept = {0};
    for (size_t i = 0; i < headers->n; i++)
        if (is_harmless(headers->v[i].name))
            hdrs_add(&kept, headers->v[i].name, headers->v[i].value);
    hdrs_free(headers);
    *headers = kept;
}

int hop_redirect(struct hop *h, int status, const char *url, struct err *err) {
    char *origin = origin_of(url, err);
    if (!origin)
        return -1;
    if (!strncmp(h->origin, "https:", 6) && strncmp(origin, "https:", 6)) {
        free(origin);
        return err_set(err, ERR_INVALID, "redirects from https to http are not followed");
    }
    bool post = !strcmp(h->method, "POST");
    if (strcmp(h->method, "HEAD") && (status == 303 || (status < 303 && post)))
        become_get(h);
    if (strcmp(origin, h->origin))
        drop_secrets(&h->headers);
    free(h->origin);
    free(h->url);
    h->origin = origin;
    h->url = xstrdup(url);
    return 0;
}

void hop_free(struct hop *h) {
    free(h->url);
    free(h->origin);
    free(h->body);
    hdrs_free(&h->headers);
    memset(h, 0, sizeof *h);
}
