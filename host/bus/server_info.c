/* SPDX-License-Identifier: MIT */
#include "bus/server_info.h"
#include "base/buf.h"
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PRESET_PORT "4222"
#define LINE_MAX_BYTES 65536

/* "nats://user:pass@[::1]:4222" → host and port, the caller's. n bytes. */
static void split(const char *p, size_t n, char **host, char **port) {
    char *text = xmemdup(p, n), *at = strrchr(text, '@'), *scheme = strstr(text, "://");
    char *begin = at ? at + 1 : scheme ? scheme + 3 : text;
    begin[strcspn(begin, "/?")] = 0;
    char *bracket = *begin == '[' ? strchr(begin, ']') : NULL;
    char *colon = strrchr(bracket ? bracket : begin, ':');
    if (colon)
        *colon = 0;
    if (bracket)
        *bracket = 0;
    *host = xstrdup(bracket ? begin + 1 : begin);
    *port = xstrdup(colon ? colon + 1 : PRESET_PORT);
    free(text);
}

static bool await(int fd, short events, int timeout_ms) {
    struct pollfd p = {.fd = fd, .events = events};
    return poll(&p, 1, timeout_ms) == 1;
}

/* -1 with errno. */
static int dial(const struct addrinfo *a, int timeout_ms) {
    int error = 0, fd = socket(a->ai_family, a->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    socklen_t n = sizeof error;
    if (fd < 0)
        return -1;
    if (connect(fd, a->ai_addr, a->ai_addrlen) && errno != EINPROGRESS)
        error = errno;
    else if (!await(fd, POLLOUT, timeout_ms))
        error = ETIMEDOUT;
    else
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &n);
    if (!error)
        return fd;
    close(fd);
    errno = error;
    return -1;
}

/* INFO {…}\r\n */
static json_t *read_info(int fd, int timeout_ms) {
    struct buf line = {0};
    char chunk[4096];
    while (!line.len || (!strchr(line.p, '\n') && line.len < LINE_MAX_BYTES)) {
        ssize_t n = await(fd, POLLIN, timeout_ms) ? read(fd, chunk, sizeof chunk) : 0;
        if (n <= 0)
            break;
        buf_put(&line, chunk, (size_t)n);
    }
    json_t *info = NULL;
    if (line.len > 5 && !memcmp(line.p, "INFO ", 5))
        info = json_loads(line.p + 5, JSON_DISABLE_EOF_CHECK, NULL);
    buf_free(&line);
    return info;
}

static json_t *ask(const char *host, const char *port, int timeout_ms, struct err *err) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *all;
    json_t *info = NULL;
    int fd = -1, rc = getaddrinfo(host, port, &hints, &all);
    if (rc) {
        err_set(err, ERR_BUS_DOWN, "%s: %s", host, gai_strerror(rc));
        return NULL;
    }
    for (struct addrinfo *a = all; a && fd < 0; a = a->ai_next)
        fd = dial(a, timeout_ms);
    if (fd < 0)
        err_set(err, ERR_BUS_DOWN, "%s:%s: %s", host, port, strerror(errno));
    else if (!(info = read_info(fd, timeout_ms)))
        err_set(err, ERR_BUS_DOWN, "%s:%s is no nats-server, or does not answer", host, port);
    if (fd >= 0)
        close(fd);
    freeaddrinfo(all);
    return info;
}

json_t *server_info(const char *url, int timeout_ms, struct err *err) {
    json_t *info = NULL;
    for (size_t n; *url && !info; url += n + (url[n] == ',')) {
        char *host, *port;
        n = strcspn(url, ",");
        split(url, n, &host, &port);
        info = ask(host, port, timeout_ms, err);
        free(host);
        free(port);
    }
    return info;
}
