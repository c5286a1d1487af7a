/* SPDX-License-Identifier: MIT */
/* bus_adapter - ties a libnats connection to a libuv loop. libnats calls it from the loop thread
 * and from its own reconnect thread; everything told to the owner is told on the loop thread, from
 * the loop, never from inside a call into libnats.
 *
 * The `up` gate: while libnats reconnects, its thread holds the connection's lock (a publish then
 * blocked the loop for two seconds), so nothing of libnats may be called while bus_adapter_up() is
 * false. It is false from the moment polling is taken away until the loop polls the new socket. */
#ifndef RBF_BUS_ADAPTER_H
#define RBF_BUS_ADAPTER_H
#include "base/err.h"
#include <nats/nats.h>
#include <uv.h>

struct bus_adapter;

struct bus_adapter_owner {
    void (*on_read)(void *arg);            /* bytes were parsed: messages may be waiting */
    void (*on_change)(bool up, void *arg); /* never twice the same; first: false */
    void (*on_closed)(void *arg);          /* libnats gave the connection up; it stays down */
    void *arg;
};

struct bus_adapter *bus_adapter_new(uv_loop_t *loop,
                                    const struct bus_adapter_owner *owner) NODISCARD;
/* Puts the callbacks into the options of the connection to be made. */
natsStatus bus_adapter_options(struct bus_adapter *a, natsOptions *opts);
/* After the connection was made, on the loop thread: from now on there are libuv handles. */
int bus_adapter_start(struct bus_adapter *a, struct err *err) NODISCARD;
bool bus_adapter_up(struct bus_adapter *a);
/* Shuts the socket down, so that libnats notices and reconnects. Nothing when down. */
void bus_adapter_break(struct bus_adapter *a);
/* Writes out what is buffered, at most ms long: natsConnection_Close would wait 500 ms for an
 * answer nobody reads if anything were left. */
void bus_adapter_flush(struct bus_adapter *a, int ms);
/* After natsConnection_Close. The owner hears nothing any more. Started or not. */
void bus_adapter_delete(struct bus_adapter *a);
#endif
