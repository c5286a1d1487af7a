/* SPDX-License-Identifier: MIT */
/* bench_flights - stands between a host and PostgreSQL and counts network flights: each time a
 * connection speaks up after it has been answered (or for the first time) is one, however many
 * statements and writes it holds. Start-ups count as well; the bench takes them off.
 *   bench_flights LISTEN_SOCKET SERVER_SOCKET
 * USR1 prints the count so far, a line; TERM ends. */
#define _GNU_SOURCE /* accept4 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define MAX_PAIRS 500
#define FIRST_PAIR 2 /* of the polled: signals, the listener, then pairs */

static struct pollfd polled[FIRST_PAIR + 2 * MAX_PAIRS];
static bool answered[MAX_PAIRS]; /* the server was the last to speak */
static int pairs;
static unsigned long flights;

static void die(const char *what) {
    perror(what);
    exit(1);
}

static int socket_at(const char *path, struct sockaddr_un *addr) {
    *addr = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof addr->sun_path)
        die(path);
    strcpy(addr->sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        die("socket");
    return fd;
}

static void add_pair(int client, const char *server) {
    struct sockaddr_un addr;
    int fd = socket_at(server, &addr);
    if (pairs == MAX_PAIRS || connect(fd, (struct sockaddr *)&addr, sizeof addr))
        die(server);
    answered[pairs] = true;
    polled[FIRST_PAIR + 2 * pairs] = (struct pollfd){.fd = client, .events = POLLIN};
    polled[FIRST_PAIR + 2 * pairs + 1] = (struct pollfd){.fd = fd, .events = POLLIN};
    pairs++;
}

static void drop_pair(int i) {
    struct pollfd *p = &polled[FIRST_PAIR + 2 * i];
    close(p[0].fd);
    close(p[1].fd);
    pairs--;
    memcpy(p, &polled[FIRST_PAIR + 2 * pairs], 2 * sizeof *p);
    answered[i] = answered[pairs];
}

static bool write_all(int fd, const char *data, ssize_t n) {
    for (ssize_t done = 0, w; done < n; done += w)
        if ((w = send(fd, data + done, (size_t)(n - done), MSG_NOSIGNAL)) < 0)
            return false;
    return true;
}

/* One direction of a pair; false when it has ended. */
static bool carry(int i, bool from_client) {
    static char buf[1 << 16];
    struct pollfd *p = &polled[FIRST_PAIR + 2 * i];
    ssize_t n = recv(p[from_client ? 0 : 1].fd, buf, sizeof buf, 0);
    if (n <= 0)
        return false;
    if (from_client && answered[i])
        flights++;
    answered[i] = !from_client;
    return write_all(p[from_client ? 1 : 0].fd, buf, n);
}

static void take_signal(void) {
    struct signalfd_siginfo info;
    if (read(polled[0].fd, &info, sizeof info) != sizeof info || info.ssi_signo == SIGTERM)
        exit(0);
    printf("%lu\n", flights);
    fflush(stdout);
}

static void open_signals(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, NULL);
    polled[0] = (struct pollfd){.fd = signalfd(-1, &set, SFD_CLOEXEC), .events = POLLIN};
}

static void turn(const char *server) {
    if (poll(polled, (nfds_t)(FIRST_PAIR + 2 * pairs), -1) < 0 && errno != EINTR)
        die("poll");
    for (int i = pairs - 1; i >= 0; i--) { /* the server first: an answer ends a flight */
        struct pollfd *p = &polled[FIRST_PAIR + 2 * i];
        if ((p[1].revents && !carry(i, false)) || (p[0].revents && !carry(i, true)))
            drop_pair(i);
    }
    if (polled[1].revents) {
        int client = accept4(polled[1].fd, NULL, NULL, SOCK_CLOEXEC);
        if (client >= 0)
            add_pair(client, server);
    }
    if (polled[0].revents)
        take_signal();
}

int main(int argc, char **argv) {
    struct sockaddr_un addr;
    if (argc != 3) {
        fprintf(stderr, "bench_flights LISTEN_SOCKET SERVER_SOCKET\n");
        return 2;
    }
    open_signals();
    int fd = socket_at(argv[1], &addr);
    if (bind(fd, (struct sockaddr *)&addr, sizeof addr) || listen(fd, 64))
        die(argv[1]);
    polled[1] = (struct pollfd){.fd = fd, .events = POLLIN};
    for (;;)
        turn(argv[2]);
}
