/* SPDX-License-Identifier: MIT */
/* probes - whose request a "no responders" answers. libnats hides that message, and with it the
 * token; but a server reads one connection's publishes in their order and says "nobody" at once. So
 * behind each request goes an empty message to the own inbox, the probe: a "nobody" that comes
 * before a request's probe, and behind the one before it, is that request's. Loop thread only. */
#ifndef RBF_PROBES_H
#define RBF_PROBES_H
#include <stddef.h>
#include <stdint.h>

#define PROBE_TOKEN "n" /* of the own inbox; waits have hexadecimal ones */

struct probes { /* a queue of request numbers */
    uint64_t *ids;
    size_t head, n, cap;
};

void probes_sent(struct probes *p, uint64_t id); /* its probe went out behind it */
void probes_back(struct probes *p);              /* the oldest probe came back */
/* The request that nobody listens to; 0: unknown. */
uint64_t probes_nobody(const struct probes *p);
void probes_clear(struct probes *p); /* the connection broke, or goes */
#endif
