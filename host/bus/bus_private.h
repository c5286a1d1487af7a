/* SPDX-License-Identifier: MIT */
/* What the files of this floor know of a bus. Loop thread only. */
#ifndef RBF_BUS_PRIVATE_H
#define RBF_BUS_PRIVATE_H
#include "base/list.h"
#include "bus/bus_adapter.h"
#include "bus/probes.h"
#include "bus/waits.h"

struct bus {
    uv_loop_t *loop;
    struct bus_adapter *link;
    natsConnection *nc;
    natsSubscription *sub; /* "<inbox>.*": all replies come through it */
    char inbox[64];        /* "_INBOX.<unique>", without the token */
    size_t inbox_len;
    size_t max_payload;
    struct waits waits;
    struct probes probes;    /* with tell_nobody */
    uv_timer_t tick;         /* each second: what the pulls must look after */
    struct list pulls, subs; /* struct pull.node, struct bus_sub.node */
    struct bus_sub *pulling; /* "<inbox>.p.<round>.*": what pulls bring; NULL before one */
    unsigned last_pull, pull_round;
    bool up, closing, tell_nobody;
    int open_handles; /* the last one to close frees the bus */
    void (*on_change)(bool up, void *arg);
    void (*on_closed)(const struct err *why, void *arg);
    void *arg;
};

/* bus_connect.c: connects (blocking) and subscribes to the inbox. */
int bus_connect(struct bus *b, const struct bus_options *o, struct err *err) NODISCARD;

/* bus_msg.c */
struct bus_msg *bus_msg_from(natsMsg *inner); /* takes it */
void bus_msg_free_inner(natsMsg *inner);      /* in this thread; NULL is none */
/* Bytes on the wire besides the payload; 0 for none. */
size_t bus_headers_len(const struct hdrs *h);
int bus_check(size_t max_payload, const char *subject, const char *reply, const struct hdrs *h,
              size_t len, struct err *err);

/* pull.c */
struct pull_times { /* in ms */
    int expires_ms, heartbeat_ms;
    uint64_t local_expiry_ms, silence_ms;
};
extern struct pull_times pull_times; /* tests shorten them */
/* called by bus.c */
void pulls_changed(struct bus *b, bool up);
void pulls_tick(struct bus *b);
void pulls_orphan(struct bus *b); /* the bus goes, its pulls stay to be deleted */

/* bus_sub.c */
struct bus_sub;
/* cb for each message that libnats does not show: an empty one with a header "Status: 503". */
void sub_on_unseen(struct bus_sub *s, void (*cb)(void *arg));
/* called by bus.c */
void subs_read(struct bus *b);   /* hands over what has come */
void subs_up(struct bus *b);     /* after a reconnect */
void subs_delete(struct bus *b); /* the connection is closed */

/* Calls cb from the loop ms later, with ERR_TIMEOUT (to be ignored) or ERR_SHUTDOWN. */
uint64_t bus_later(struct bus *b, int ms, bus_cb cb, void *arg);
/* Drops the connection, so that it is made anew. */
void bus_reconnect(struct bus *b);
#endif
