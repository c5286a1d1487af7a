/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* memmem, memrchr */
/* config_redact_url: what may be printed of a URL. In doubt it hides too much. */
#include "base/config.h"
#include <string.h>
#include <strings.h>

static bool is_secret(const char *key, size_t n) {
    static const char *const words[] = {"password", "sslpassword", "token", "jwt", "nkey", NULL};
    for (const char *const *w = words; *w; w++)
        if (strlen(*w) == n && strncasecmp(*w, key, n) == 0)
            return true;
    return false;
}

/* user:password@ keeps the user; token@ of NATS keeps nothing, user@ of PostgreSQL the user. The
 * last '@' counts, for a password may hold one that somebody forgot to encode. */
static void put_userinfo(struct buf *out, const char *p, size_t n, bool lone_is_secret) {
    const char *colon = memchr(p, ':', n);
    if (colon)
        buf_put(out, p, (size_t)(colon - p) + 1);
    if (colon || lone_is_secret)
        buf_puts(out, "***");
    else
        buf_put(out, p, n);
    buf_putc(out, '@');
}

/* ?key=value&key=value */
static void put_query(struct buf *out, const char *p, size_t n) {
    const char *end = p + n;
    while (p < end) {
        size_t len = 1 + strcspn(p + 1, "&");
        if (len > (size_t)(end - p))
            len = (size_t)(end - p);
        const char *eq = memchr(p, '=', len);
        if (eq && is_secret(p + 1, (size_t)(eq - p) - 1)) {
            buf_put(out, p, (size_t)(eq - p) + 1);
            buf_puts(out, "***");
        } else {
            buf_put(out, p, len);
        }
        p += len;
    }
}

static void put_one(struct buf *out, const char *p, size_t n) {
    const char *end = p + n, *scheme = memmem(p, n, "://", 3), *at;
    bool pg = n >= 8 && strncasecmp(p, "postgres", 8) == 0;
    if (scheme) {
        buf_put(out, p, (size_t)(scheme + 3 - p));
        p = scheme + 3;
    }
    const char *query = memchr(p, '?', (size_t)(end - p));
    at = memrchr(p, '@', (size_t)(end - p));
    if (at && query && at > query) /* whose '@' is it? */
        buf_puts(out, "***@");
    else if (at)
        put_userinfo(out, p, (size_t)(at - p), !pg);
    if (at) {
        p = at + 1;
        query = memchr(p, '?', (size_t)(end - p));
    }
    if (!query)
        query = end;
    buf_put(out, p, (size_t)(query - p));
    put_query(out, query, (size_t)(end - query));
}

/* key=value key='a b': libpq's other form. */
static void put_conninfo(struct buf *out, const char *p) {
    while (*p) {
        size_t gap = strspn(p, " \t\r\n"), key = strcspn(p + gap, "= \t\r\n");
        bool secret = is_secret(p + gap, key);
        buf_put(out, p, gap + key);
        p += gap + key;
        size_t eq = strspn(p, " \t\r\n=");
        buf_put(out, p, eq);
        p += eq;
        const char *from = p;
        if (*p == '\'') {
            for (p++; *p && *p != '\''; p++)
                p += *p == '\\' && p[1];
            p += *p == '\'';
        } else {
            for (; *p && !strchr(" \t\r\n", *p); p++)
                p += *p == '\\' && p[1];
        }
        /* "host= password=x" gives libpq the host "password=x", but was not meant so */
        if (secret || memmem(from, (size_t)(p - from), "password", 8))
            buf_puts(out, "***");
        else
            buf_put(out, from, (size_t)(p - from));
    }
}

void config_redact_url(const char *url, struct buf *out) {
    buf_puts(out, "");
    bool pg = strncasecmp(url, "postgres", 8) == 0;
    if (!strstr(url, "://") && strchr(url, '=')) {
        put_conninfo(out, url);
        return;
    }
    /* commas of PostgreSQL's stand between hosts, of Redis' nowhere but in a password */
    if (pg || strncasecmp(url, "redis", 5) == 0 || strncasecmp(url, "unix", 4) == 0) {
        put_one(out, url, strlen(url));
        return;
    }
    for (size_t n; *url; url += n) {
        n = strcspn(url, ",");
        put_one(out, url, n);
        if (url[n] == ',') {
            buf_putc(out, ',');
            n++;
        }
    }
}
