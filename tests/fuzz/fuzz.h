/* SPDX-License-Identifier: MIT */
/* What the fuzz targets share: a cursor over the bytes that libFuzzer invents, and checks that say
 * which property broke. */
#ifndef RBF_FUZZ_H
#define RBF_FUZZ_H
#include "base/buf.h"
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define HOLDS(property)                                                                            \
    do {                                                                                           \
        if (!(property)) {                                                                         \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #property);          \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* The next line of the input as a string (a copy; ended by a newline, a NUL or the input's end). */
static inline char *fuzz_line(const uint8_t **at, size_t *left) {
    size_t n = 0;
    while (n < *left && (*at)[n] != '\n' && (*at)[n])
        n++;
    char *line = xmemdup(*at, n);
    n += n < *left;
    *at += n;
    *left -= n;
    return line;
}
#endif
