/* SPDX-License-Identifier: MIT */
/* bus_sub - plain subscriptions of a bus, in queue groups or not. Loop thread only. They survive
 * reconnects. libnats 3.4.1 must not unsubscribe or destroy one while the connection runs, so a
 * subscription lives as long as its bus and is only switched off and on. */
#ifndef RBF_BUS_SUB_H
#define RBF_BUS_SUB_H
#include "bus/bus.h"

struct bus_sub;
/* m is handed over. Comes from the loop, never from inside the calls below; must not delete the
 * bus.
 */
typedef void (*bus_sub_cb)(struct bus_msg *m, void *arg);

/* Subscribes, at once or when the server is back: bus_echo tells when the server knows it. subject
 * may hold wildcards; group NULL: none; both strings are copied. NULL with err when subject is
 * none. */
struct bus_sub *bus_sub_new(struct bus *b, const char *subject, const char *group, bus_sub_cb cb,
                            void *arg, struct err *err) NODISCARD;
const char *bus_sub_subject(const struct bus_sub *s);
/* Off: the server stops sending; what it sent before still comes (a bus_echo later nothing does).
 * On again with the same subject and group. */
void bus_sub_switch(struct bus_sub *s, bool on);
#endif
