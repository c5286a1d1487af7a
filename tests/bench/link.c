/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* memmem, ppoll */
#include "link.h"
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void die(const char *what, const char *why) {
    fprintf(stderr, "load: %s: %s\n", what, why);
    exit(1);
}

static void put(struct link *l, const char *text, size_t n) {
    if (l->out_len + n > l->out_size) {
        l->out_size = 2 * (l->out_len + n);
        l->out = realloc(l->out, l->out_size);
        if (!l->out)
            abort();
    }
    memcpy(l->out + l->out_len, text, n);
    l->out_len += n;
}

static void put_text(struct link *l, const char *text) {
    put(l, text, strlen(text));
}

static int connected(const char *host, const char *port) {
    struct addrinfo *found, hint = {.ai_socktype = SOCK_STREAM};
    if (getaddrinfo(host, port, &hint, &found))
        die(host, "no such address");
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, found->ai_addr, found->ai_addrlen))
        die(host, strerror(errno));
    freeaddrinfo(found);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

void link_open(struct link *l, const char *url, link_cb cb, void *arg) {
    char host[200], port[8];
    if (sscanf(url, "nats://%199[^:]:%7[0-9]", host, port) != 2)
        die(url, "want nats://host:port");
    *l = (struct link){.fd = connected(host, port), .cb = cb, .arg = arg, .in_size = 1 << 20};
    l->in = malloc(l->in_size);
    if (!l->in)
        abort();
    put_text(l, "CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":true,"
                "\"no_responders\":true,\"name\":\"bench\"}\r\n");
}

void link_subscribe(struct link *l, const char *subject) {
    put_text(l, "SUB ");
    put_text(l, subject);
    put_text(l, " 1\r\n");
}

void link_publish(struct link *l, const char *subject, const char *reply, const char *head,
                  const char *data) {
    size_t h = strlen(head), n = strlen(data);
    char line[600];
    int len = h ? snprintf(line, sizeof line, "HPUB %s %s %zu %zu\r\n", subject, reply, h, h + n)
                : snprintf(line, sizeof line, "PUB %s %s %zu\r\n", subject, reply, n);
    put(l, line, (size_t)len);
    put(l, head, h);
    put(l, data, n);
    put(l, "\r\n", 2);
}

static void flush(struct link *l) {
    while (l->out_at < l->out_len) {
        ssize_t n = send(l->fd, l->out + l->out_at, l->out_len - l->out_at, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n < 0)
            die("writing to NATS", strerror(errno));
        l->out_at += (size_t)n;
    }
    l->out_at = l->out_len = 0;
}

/* MSG subject sid [reply] total, HMSG subject sid [reply] head total. */
static size_t take_message(struct link *l, const char *line, const char *end) {
    const char *word[8] = {0};
    int n = 0;
    for (const char *p = line; p < end && n < 8; p++) /* the line has no two blanks in a row */
        if (p == line || p[-1] == ' ')
            word[n++] = p;
    size_t head = *line == 'H' && n > 4 ? (size_t)atol(word[n - 2]) : 0;
    size_t total = n > 3 ? (size_t)atol(word[n - 1]) : 0;
    const char *body = end + 2;
    if ((size_t)(l->in + l->in_len - body) < total + 2)
        return 0;
    bool reply = n == (*line == 'H' ? 6 : 5);
    struct link_msg m = {.subject = word[1],
                         .subject_len = (size_t)(word[2] - word[1] - 1),
                         .reply = reply ? word[3] : "",
                         .reply_len = reply ? (size_t)(word[4] - word[3] - 1) : 0,
                         .head = body,
                         .head_len = head,
                         .data = body + head,
                         .data_len = total - head};
    l->cb(&m, l->arg);
    return (size_t)(body - line) + total + 2;
}

/* How many bytes of it were a whole word of the protocol; 0: the rest is still to come. */
static size_t take_one(struct link *l, const char *at) {
    size_t left = (size_t)(l->in + l->in_len - at);
    const char *end = memmem(at, left, "\r\n", 2);
    if (!end)
        return 0;
    if (*at == 'M' || *at == 'H')
        return take_message(l, at, end);
    if (*at == '-')
        die("NATS said", strndup(at, (size_t)(end - at)));
    if (end - at == 4 && !memcmp(at, "PING", 4))
        put_text(l, "PONG\r\n");
    return (size_t)(end - at) + 2;
}

static void take_all(struct link *l) {
    size_t at = 0, n;
    while (at < l->in_len && (n = take_one(l, l->in + at)))
        at += n;
    memmove(l->in, l->in + at, l->in_len - at);
    l->in_len -= at;
    if (l->in_len == l->in_size)
        die("NATS", "a message of 1 MB");
}

void link_turn(struct link *l, int64_t timeout_us) {
    flush(l);
    struct pollfd p = {.fd = l->fd, .events = POLLIN | (l->out_len ? POLLOUT : 0)};
    struct timespec ts = {timeout_us / 1000000, timeout_us % 1000000 * 1000};
    if (ppoll(&p, 1, &ts, NULL) <= 0 || !(p.revents & (POLLIN | POLLHUP | POLLERR)))
        return;
    ssize_t n = recv(l->fd, l->in + l->in_len, l->in_size - l->in_len, 0);
    if (n == 0)
        die("NATS", "closed the connection");
    if (n < 0 && errno != EAGAIN)
        die("reading from NATS", strerror(errno));
    l->in_len += n > 0 ? (size_t)n : 0;
    take_all(l);
}

void link_close(struct link *l) {
    close(l->fd);
    free(l->in);
    free(l->out);
}
