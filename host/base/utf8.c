/* SPDX-License-Identifier: MIT */
#include "base/utf8.h"
#include <string.h>

/* Length by the first byte, and the range of the second, which is where overlong forms, surrogates
 * and the end of Unicode show (RFC 3629, section 4). */
static size_t lead(unsigned char c, unsigned char *low, unsigned char *high) {
    *low = c == 0xE0 ? 0xA0 : c == 0xF0 ? 0x90 : 0x80;
    *high = c == 0xED ? 0x9F : c == 0xF4 ? 0x8F : 0xBF;
    if (c < 0x80)
        return 1;
    if (c < 0xC2 || c > 0xF4)
        return 0;
    return c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
}

size_t utf8_char(const char *s, size_t n) {
    const unsigned char *u = (const unsigned char *)s;
    unsigned char low, high;
    size_t len = lead(u[0], &low, &high);
    if (len < 2)
        return len;
    if (len > n || u[1] < low || u[1] > high)
        return 0;
    for (size_t i = 2; i < len; i++)
        if ((u[i] & 0xC0) != 0x80)
            return 0;
    return len;
}

bool utf8_valid(const char *s, size_t n) {
    for (size_t i = 0, len; i < n; i += len)
        if (!(len = (unsigned char)s[i] < 0x80 ? 1 : utf8_char(s + i, n - i)))
            return false;
    return true;
}

static bool is_control(const char *s, size_t len) {
    unsigned char c = (unsigned char)s[0];
    if (len == 1)
        return c < 0x20 || c == 0x7F;
    return c == 0xC2 && (unsigned char)s[1] < 0xA0; /* C1: U+0080 to U+009F */
}

bool utf8_printable(const char *s, size_t n) {
    for (size_t i = 0, len; i < n; i += len) {
        len = utf8_char(s + i, n - i);
        if (!len || is_control(s + i, len))
            return false;
    }
    return true;
}

void utf8_clean(struct buf *out, const char *s, size_t n) {
    if (!memchr(s, 0, n) && utf8_valid(s, n)) {
        buf_put(out, s, n);
        return;
    }
    for (size_t i = 0; i < n;) {
        size_t len = utf8_char(s + i, n - i);
        if (len && s[i])
            buf_put(out, s + i, len);
        else
            buf_puts(out, "\xEF\xBF\xBD");
        i += len ? len : 1;
    }
}

char *utf8_copy(const char *s) {
    struct buf out = {0};
    if (!s)
        return NULL;
    utf8_clean(&out, s, strlen(s));
    return buf_steal(&out);
}
