/* SPDX-License-Identifier: MIT */
/* servers - what a worker needs of its servers before it can serve: that the host's tables are in
 * PostgreSQL, what time it is there, and a connection to NATS. Both are asked at the same time, on
 * threads of the loop's pool, and mostly while the app is still being loaded. Loop thread only. */
#ifndef RBF_SERVERS_H
#define RBF_SERVERS_H
#include "base/config.h"
#include "bus/bus.h"

struct servers;

/* bus: of the connection to be made; only its callbacks and their argument are looked at. */
struct servers *servers_new(uv_loop_t *loop, const char *sql_dir,
                            const struct bus_options *bus) NODISCARD;
/* Goes ahead with what flags and environment say, if that is enough, and nothing is under way or
 * there. How it ends is told by servers_take. */
void servers_begin(struct servers *s, const struct config *c);
/* What c, which now knows what main.lua says, asks for: taken from what was begun where that was
 * for the same, else begun now. cb once, from the loop or from inside: the connection, which is the
 * callee's, or err (that of PostgreSQL first). */
typedef void (*servers_cb)(struct bus *bus, const struct err *err, void *arg);
void servers_take(struct servers *s, const struct config *c, servers_cb cb, void *arg);
/* Takes no more and calls back no more. False: a thread still waits for a server, for up to some
 * seconds, and the loop ends no earlier. */
bool servers_close(struct servers *s);
void servers_delete(struct servers *s); /* after the loop has ended; NULL is allowed */
#endif
