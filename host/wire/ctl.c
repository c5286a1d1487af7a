/* SPDX-License-Identifier: MIT */
#include "wire/ctl.h"
#include <string.h>

#define HEAD 4
/* No app's Lua files come near it: a longer frame means that the two ends disagree. */
#define MAX_FRAME (256u << 20)

static void put_u32(struct buf *out, uint32_t v) {
    const unsigned char le[4] = {(unsigned char)v, (unsigned char)(v >> 8),
                                 (unsigned char)(v >> 16), (unsigned char)(v >> 24)};
    buf_put(out, le, 4);
}

static uint32_t get_u32(const char *p) {
    const unsigned char *u = (const unsigned char *)p;
    return u[0] | (uint32_t)u[1] << 8 | (uint32_t)u[2] << 16 | (uint32_t)u[3] << 24;
}

static bool is_known(char type) {
    return type && strchr("PCADprlbf", type);
}

static bool has_number(char type) {
    return strchr("PCAprl", type) != NULL;
}

void ctl_put(struct buf *out, enum ctl_type type, uint32_t number, const void *payload, size_t n) {
    bool numbered = has_number((char)type);
    put_u32(out, (uint32_t)(1 + (numbered ? 4 : 0) + n));
    buf_putc(out, (char)type);
    if (numbered)
        put_u32(out, number);
    buf_put(out, payload, n);
}

int ctl_take(const struct buf *in, struct ctl_frame *out, size_t *used) {
    if (in->len < HEAD)
        return 0;
    uint32_t size = get_u32(in->p);
    if (size < 1 || size > MAX_FRAME)
        return -1;
    if (in->len < HEAD + 1)
        return 0;
    char type = in->p[HEAD];
    size_t skip = has_number(type) ? 5 : 1;
    if (!is_known(type) || size < skip)
        return -1;
    if (in->len - HEAD < size)
        return 0;
    *out = (struct ctl_frame){(enum ctl_type)type, skip == 5 ? get_u32(in->p + HEAD + 1) : 0,
                              in->p + HEAD + skip, size - skip};
    *used = HEAD + size;
    return 1;
}
