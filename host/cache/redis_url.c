/* SPDX-License-Identifier: MIT */
#include "cache/redis_url.h"
#include "base/buf.h"
#include "base/config.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static int hex(char c) {
    return isdigit((unsigned char)c)    ? c - '0'
           : isxdigit((unsigned char)c) ? (c | 32) - 'a' + 10
                                        : -1;
}

/* NULL when a '%' is followed by what is no byte, or by a NUL. */
static char *decode(const char *p, size_t n) {
    struct buf out = {0};
    for (size_t i = 0; i < n; i++) {
        if (p[i] != '%') {
            buf_putc(&out, p[i]);
            continue;
        }
        int high = i + 2 < n ? hex(p[i + 1]) : -1, low = i + 2 < n ? hex(p[i + 2]) : -1;
        if (high < 0 || low < 0 || high + low == 0) {
            buf_free(&out);
            return NULL;
        }
        buf_putc(&out, (char)(high * 16 + low));
        i += 2;
    }
    return buf_steal(&out);
}

/* "user:password" or ":password" */
static bool read_user(struct redis_url *u, const char *p, size_t n) {
    const char *colon = memchr(p, ':', n);
    if (!colon)
        return false;
    size_t user = (size_t)(colon - p);
    u->password = decode(colon + 1, n - user - 1);
    if (user > 0)
        u->user = decode(p, user);
    return u->password && *u->password && (user == 0 || u->user);
}

static bool read_db(struct redis_url *u, const char *p) {
    if (!*p)
        return true;
    char *end;
    long db = strtol(p, &end, 10);
    u->db = (int)db;
    return isdigit((unsigned char)*p) && !*end && db <= 9999;
}

static bool read_port(struct redis_url *u, const char *p, size_t n) {
    u->port = n ? xmemdup(p, n) : xstrdup("6379");
    long port = strtol(u->port, NULL, 10);
    return strspn(u->port, "0123456789") == strlen(u->port) && port > 0 && port < 65536;
}

/* host[:port][/db]; an IPv6 address in brackets */
static bool read_tcp(struct redis_url *u, const char *p) {
    size_t n = strcspn(p, "/"), host = strcspn(p, ":/");
    const char *db = p[n] ? p + n + 1 : "";
    if (*p == '[') {
        const char *end = memchr(p, ']', n);
        if (!end)
            return false;
        host = (size_t)(end - p) + 1;
        u->host = xmemdup(p + 1, host - 2);
    } else {
        u->host = xmemdup(p, host);
    }
    if (host < n && p[host] != ':')
        return false;
    bool port = host < n ? read_port(u, p + host + 1, n - host - 1) : read_port(u, NULL, 0);
    return port && *u->host && read_db(u, db);
}

static bool read_unix(struct redis_url *u, const char *p) {
    size_t n = strcspn(p, "?");
    u->path = decode(p, n);
    if (!u->path || u->path[0] != '/' || strlen(u->path) > 100)
        return false;
    return !p[n] || (!strncmp(p + n, "?db=", 4) && p[n + 4] && read_db(u, p + n + 4));
}

static bool read_all(struct redis_url *u, const char *url) {
    bool tcp = !strncmp(url, "redis://", 8);
    if (!tcp && strncmp(url, "unix://", 7) != 0)
        return false;
    const char *p = strstr(url, "://") + 3, *at = strrchr(p, '@');
    if (at && !read_user(u, p, (size_t)(at - p)))
        return false;
    return tcp ? read_tcp(u, at ? at + 1 : p) : read_unix(u, at ? at + 1 : p);
}

int redis_url_parse(const char *url, struct redis_url *out, struct err *err) {
    struct buf shown = {0};
    memset(out, 0, sizeof *out);
    config_redact_url(url, &shown);
    out->shown = buf_steal(&shown);
    if (read_all(out, url))
        return 0;
    err_set(err, ERR_CONFIG,
            "REDIS_URL is '%.200s', expected redis://[[user]:password@]host[:port][/db] or "
            "unix://[:password@]/path/to/socket[?db=N]%s",
            out->shown,
            !strncmp(url, "rediss://", 9) ? " (TLS is not spoken: use a private network)" : "");
    redis_url_free(out);
    return -1;
}

void redis_url_free(struct redis_url *u) {
    free(u->host);
    free(u->port);
    free(u->path);
    free(u->user);
    free(u->password);
    free(u->shown);
    memset(u, 0, sizeof *u);
}
