/* SPDX-License-Identifier: MIT */
#include "base/id.h"
#include "base/clock.h"
#include <openssl/evp.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <uuid/uuid.h>

/* RBF's namespace for v5. Changing it makes every message of an older host a stranger: never. */
static const uuid_t id_namespace = {0x6f, 0x1c, 0x52, 0x3e, 0x0d, 0x8b, 0x4a, 0x57,
                                    0x9e, 0x21, 0x7b, 0x36, 0xc4, 0xf0, 0x8d, 0x12};

static pthread_mutex_t v7_lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t v7_ms;
static unsigned v7_count;

static bool seeded;
static uint64_t seed;

/* splitmix64 */
static unsigned char seeded_byte(void) {
    uint64_t z = (seed += 0x9e3779b97f4a7c15u);
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return (unsigned char)(z ^ z >> 31);
}

void id_seed(uint64_t from) {
    seeded = true;
    seed = from;
    v7_ms = 0;
}

void id_random(void *p, size_t n) {
    if (seeded) {
        for (size_t i = 0; i < n; i++)
            ((unsigned char *)p)[i] = seeded_byte();
        return;
    }
    static _Thread_local unsigned char pool[256]; /* one system call for 16 ids */
    static _Thread_local size_t left;
    if (n > sizeof pool)
        abort();
    if (left < n) { /* up to 256 bytes come whole once the pool is seeded */
        if (getrandom(pool, sizeof pool, 0) != (ssize_t)sizeof pool)
            abort();
        left = sizeof pool;
    }
    left -= n;
    memcpy(p, pool + left, n);
}

void id_v4(char out[ID_TEXT]) {
    uuid_t u;
    uuid_generate_random(u);
    uuid_unparse_lower(u, out);
}

/* The 12 bits behind the time count up within a millisecond (RFC 9562, 6.2, method 1), from a
 * random start with half the range free. A clock that steps back is waited for in that way too. */
static uint64_t v7_next(unsigned start, unsigned *count) {
    uint64_t now = (uint64_t)(seeded ? clock_db_ms() : clock_wall_ms());
    pthread_mutex_lock(&v7_lock);
    if (now > v7_ms) {
        v7_ms = now;
        v7_count = start & 0x7FF;
    } else if (++v7_count > 0xFFF) {
        v7_ms++;
        v7_count = start & 0x7FF;
    }
    now = v7_ms;
    *count = v7_count;
    pthread_mutex_unlock(&v7_lock);
    return now;
}

void id_v7(char out[ID_TEXT]) {
    uuid_t u;
    unsigned count;
    id_random(u, sizeof u);
    uint64_t ms = v7_next((unsigned)u[0] << 8 | u[1], &count);
    for (int i = 0; i < 6; i++)
        u[i] = (unsigned char)(ms >> (40 - 8 * i));
    u[6] = (unsigned char)(0x70 | count >> 8);
    u[7] = (unsigned char)count;
    u[8] = (unsigned char)(0x80 | (u[8] & 0x3F));
    uuid_unparse_lower(u, out);
}

void id_v5(const void *name, size_t n, char out[ID_TEXT]) {
    uuid_t u;
    uuid_generate_sha1(u, id_namespace, name, n);
    uuid_unparse_lower(u, out);
}

void id_hash12(const void *bytes, size_t n, char out[13]) {
    static const char hex[] = "0123456789abcdef";
    unsigned char md[EVP_MAX_MD_SIZE];
    if (EVP_Digest(bytes, n, md, NULL, EVP_sha256(), NULL) != 1)
        abort();
    for (int i = 0; i < 6; i++) {
        out[2 * i] = hex[md[i] >> 4];
        out[2 * i + 1] = hex[md[i] & 15];
    }
    out[12] = 0;
}
