/* SPDX-License-Identifier: MIT */
/* A TCP proxy in a thread of its own, between a bus and its server: it can cut connections, keep
 * back what the server says after some more bytes, and let new connections hear only the first
 * thing it says. */
#ifndef RBF_TEST_NATSPROXY_H
#define RBF_TEST_NATSPROXY_H
#include "natsserver.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>

struct natsproxy {
    int listener, port;
    char target[16]; /* the server's port; it may be down */
    pthread_t thread;
    atomic_bool ended, cut;
    atomic_bool mute;     /* to new connections: INFO, then nothing */
    atomic_long held;     /* bytes kept back so far */
    atomic_long allowed;  /* bytes the server may still say; < 0: any number */
    atomic_int connected; /* how many connections were made */
};

static inline int natsproxy_dial(const char *port) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, (struct sockaddr *)&a, sizeof a) == 0)
        return fd;
    close(fd);
    return -1;
}

static inline bool natsproxy_write(int fd, const char *p, size_t n) {
    while (n > 0) {
        ssize_t k = send(fd, p, n, MSG_NOSIGNAL);
        if (k <= 0)
            return false;
        p += k;
        n -= (size_t)k;
    }
    return true;
}

struct natsproxy_pair {
    int client, server;
    bool muted, heard;
    char kept[1 << 16];
    size_t n_kept;
};

static inline void natsproxy_close(struct natsproxy_pair *c) {
    close(c->client);
    close(c->server);
    c->client = c->server = -1;
    c->n_kept = 0;
}

/* What of the kept bytes may go on. */
static inline bool natsproxy_release(struct natsproxy *p, struct natsproxy_pair *c) {
    long allowed = atomic_load(&p->allowed);
    size_t n = allowed < 0 || (size_t)allowed > c->n_kept ? c->n_kept : (size_t)allowed;
    if (c->muted && c->heard)
        n = 0;
    if (n == 0)
        return true;
    c->heard = true;
    if (allowed >= 0)
        atomic_fetch_sub(&p->allowed, (long)n);
    bool ok = natsproxy_write(c->client, c->kept, n);
    memmove(c->kept, c->kept + n, c->n_kept - n);
    c->n_kept -= n;
    atomic_store(&p->held, (long)c->n_kept);
    return ok;
}

static inline bool natsproxy_pump(struct natsproxy *p, struct natsproxy_pair *c) {
    char up[1 << 16];
    struct pollfd fds[2] = {{.fd = c->client, .events = POLLIN},
                            {.fd = c->server, .events = c->n_kept < sizeof c->kept ? POLLIN : 0}};
    if (!natsproxy_release(p, c) || poll(fds, 2, 0) < 0)
        return false;
    if (fds[0].revents) {
        ssize_t n = recv(c->client, up, sizeof up, MSG_DONTWAIT);
        if (n <= 0 || !natsproxy_write(c->server, up, (size_t)n))
            return false;
    }
    if (fds[1].revents) {
        ssize_t n = recv(c->server, c->kept + c->n_kept, sizeof c->kept - c->n_kept, MSG_DONTWAIT);
        if (n <= 0)
            return false;
        c->n_kept += (size_t)n;
        atomic_store(&p->held, (long)c->n_kept);
    }
    return true;
}

static inline void natsproxy_take(struct natsproxy *p, struct natsproxy_pair *c) {
    int client = accept4(p->listener, NULL, NULL, SOCK_CLOEXEC);
    int server = natsproxy_dial(p->target);
    atomic_fetch_add(&p->connected, 1);
    if (server < 0) {
        close(client);
        return;
    }
    if (c->client >= 0)
        natsproxy_close(c);
    *c = (struct natsproxy_pair){.client = client, .server = server};
    c->muted = atomic_load(&p->mute);
}

static inline void *natsproxy_run(void *arg) {
    struct natsproxy *p = arg;
    struct natsproxy_pair *c = calloc(1, sizeof *c);
    c->client = c->server = -1;
    while (!atomic_load(&p->ended)) {
        struct pollfd fds[3] = {{.fd = p->listener, .events = POLLIN},
                                {.fd = c->client, .events = POLLIN},
                                {.fd = c->server, .events = POLLIN}};
        poll(fds, 3, 2);
        if (fds[0].revents)
            natsproxy_take(p, c);
        if (c->client >= 0 && (atomic_exchange(&p->cut, false) || !natsproxy_pump(p, c)))
            natsproxy_close(c);
        if (atomic_load(&p->allowed) == 0)
            usleep(1000); /* the server's side stays readable */
    }
    if (c->client >= 0)
        natsproxy_close(c);
    free(c);
    return NULL;
}

static inline void natsproxy_start(struct natsproxy *p, const struct natsserver *to) {
    memset(p, 0, sizeof *p);
    snprintf(p->target, sizeof p->target, "%s", to->port);
    atomic_store(&p->allowed, -1);
    struct sockaddr_in a = {.sin_family = AF_INET};
    socklen_t n = sizeof a;
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    p->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(p->listener, (struct sockaddr *)&a, n) != 0 || listen(p->listener, 16) != 0)
        exit(1);
    getsockname(p->listener, (struct sockaddr *)&a, &n);
    p->port = ntohs(a.sin_port);
    pthread_create(&p->thread, NULL, natsproxy_run, p);
}

static inline void natsproxy_end(struct natsproxy *p) {
    atomic_store(&p->ended, true);
    pthread_join(p->thread, NULL);
    close(p->listener);
}
#endif
