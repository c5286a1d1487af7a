/* SPDX-License-Identifier: MIT */
#include "text.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

static uint64_t state;

/* splitmix64 */
static uint64_t draw(void) {
    uint64_t z = (state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

void text_seed(void) {
    if (getrandom(&state, sizeof state, 0) != (ssize_t)sizeof state)
        abort();
}

void text_id(char id[TEXT_ID_LEN], int version) {
    uint64_t head = draw(), tail = draw();
    if (version == 7) {
        struct timespec ts;
        clock_gettime(CLOCK_REALTIME, &ts);
        uint64_t ms = (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
        head = ms << 16 | (head & 0xffff);
    }
    snprintf(id, TEXT_ID_LEN, "%08x-%04x-%d%03x-a%03x-%012" PRIx64, (unsigned)(head >> 32),
             (unsigned)(head >> 16 & 0xffff), version, (unsigned)(head & 0xfff),
             (unsigned)(tail >> 48 & 0xfff), tail & 0xffffffffffffu);
}

void text_fill(char *to, size_t size, const char *tmpl, uint64_t number, uint64_t accounts) {
    uint64_t a = accounts ? draw() % accounts : 0;
    uint64_t b = accounts > 1 ? (a + 1 + draw() % (accounts - 1)) % accounts : a;
    size_t at = 0;
    for (; *tmpl && at + 24 < size; tmpl++) {
        char kind = *tmpl == '%' ? tmpl[1] : 0;
        if (kind == 'u')
            at += (size_t)sprintf(to + at, "%016" PRIx64, draw());
        else if (kind == 'n')
            at += (size_t)sprintf(to + at, "%010" PRIu64, number);
        else if (kind == 'a' || kind == 'b')
            at += (size_t)sprintf(to + at, "%" PRIu64, (kind == 'a' ? a : b) + 1);
        else
            to[at++] = *tmpl;
        tmpl += kind == 'u' || kind == 'n' || kind == 'a' || kind == 'b';
    }
    to[at] = 0;
}
