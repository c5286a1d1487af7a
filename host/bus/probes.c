/* SPDX-License-Identifier: MIT */
#include "bus/probes.h"
#include "base/buf.h"
#include <stdlib.h>
#include <string.h>

/* Doubles the ring, its oldest entry first. */
static void grow(struct probes *p) {
    size_t cap = p->cap ? p->cap * 2 : 64;
    uint64_t *ids = xmalloc(cap * sizeof *ids);
    for (size_t i = 0; i < p->n; i++)
        ids[i] = p->ids[(p->head + i) % p->cap];
    free(p->ids);
    p->ids = ids;
    p->cap = cap;
    p->head = 0;
}

void probes_sent(struct probes *p, uint64_t id) {
    if (p->n == p->cap)
        grow(p);
    p->ids[(p->head + p->n++) % p->cap] = id;
}

void probes_back(struct probes *p) {
    if (p->n == 0)
        return;
    p->head = (p->head + 1) % p->cap;
    p->n--;
}

uint64_t probes_nobody(const struct probes *p) {
    return p->n ? p->ids[p->head] : 0;
}

void probes_clear(struct probes *p) {
    free(p->ids);
    memset(p, 0, sizeof *p);
}
