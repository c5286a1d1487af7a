/* SPDX-License-Identifier: MIT */
/* config_nearest: "did you mean". */
#include "base/config.h"
#include <string.h>

#define MAX_WORD 64

static char fold(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

/* Lower case, without the '-' and '_' in which spellings of one name differ. The length. */
static size_t fold_word(const char *s, char out[MAX_WORD]) {
    size_t n = 0;
    for (; *s && n < MAX_WORD; s++)
        if (*s != '-' && *s != '_')
            out[n++] = fold(*s);
    return n;
}

static size_t least(size_t a, size_t b) {
    return a < b ? a : b;
}

/* Insertions, deletions, replacements, and exchanges of neighbours (optimal string alignment). */
static size_t distance(const char *a, size_t an, const char *b, size_t bn) {
    size_t d[MAX_WORD + 1][MAX_WORD + 1];
    for (size_t i = 0; i <= an; i++)
        d[i][0] = i;
    for (size_t j = 0; j <= bn; j++)
        d[0][j] = j;
    for (size_t i = 1; i <= an; i++)
        for (size_t j = 1; j <= bn; j++) {
            size_t step = least(d[i - 1][j], d[i][j - 1]) + 1;
            d[i][j] = least(step, d[i - 1][j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                d[i][j] = least(d[i][j], d[i - 2][j - 2] + 1);
        }
    return d[an][bn];
}

const char *config_nearest(const char *word, const char *const *names) {
    char a[MAX_WORD], b[MAX_WORD];
    size_t an = fold_word(word, a);
    size_t best = 1 + (an > 1) + (an > 3) + (an > 6); /* one more than is near */
    const char *found = NULL;
    for (; an > 0 && *names; names++) {
        size_t d = distance(a, an, b, fold_word(*names, b));
        if (d < best) {
            best = d;
            found = *names;
        }
    }
    return found;
}
