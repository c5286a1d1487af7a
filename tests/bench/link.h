/* SPDX-License-Identifier: MIT */
/* link - a connection to nats-server that speaks its text protocol by itself, for the load
 * generator: no threads and no allocation for a message, so that the generator takes as little as
 * can be from what it measures (about 1 us a message). Errors end the process with one line. */
#ifndef BENCH_LINK_H
#define BENCH_LINK_H
#include <stddef.h>
#include <stdint.h>

struct link_msg {
    const char *subject; /* not terminated, as all the rest */
    size_t subject_len;
    const char *reply;
    size_t reply_len; /* 0: none */
    const char *head; /* NATS/1.0 … headers */
    size_t head_len;
    const char *data;
    size_t data_len;
};

/* Borrows the message until it returns. */
typedef void (*link_cb)(const struct link_msg *m, void *arg);

struct link {
    int fd;
    link_cb cb;
    void *arg;
    char *in, *out;
    size_t in_len, in_size, out_at, out_len, out_size;
};

/* url: nats://host:port */
void link_open(struct link *l, const char *url, link_cb cb, void *arg);
void link_subscribe(struct link *l, const char *subject);
/* Collected until link_turn. head is "" or "NATS/1.0\r\n…\r\n\r\n"; reply may be "". */
void link_publish(struct link *l, const char *subject, const char *reply, const char *head,
                  const char *data);
/* Writes what was collected and takes what has come, waiting at most timeout_us for something. */
void link_turn(struct link *l, int64_t timeout_us);
void link_close(struct link *l);
#endif
