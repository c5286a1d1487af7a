/* SPDX-License-Identifier: MIT */
#include "base/jsonval.h"
#include "base/utf8.h"
#include "wire/envelope.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

void hdrs_add(struct hdrs *h, const char *name, const char *value) {
    if (h->n == h->cap) {
        h->cap = h->cap ? 2 * h->cap : 8;
        h->v = xrealloc(h->v, h->cap * sizeof *h->v);
    }
    h->v[h->n++] = (struct hdr){xstrdup(name), xstrdup(value)};
}

void hdrs_drop(struct hdrs *h, const char *name) {
    size_t kept = 0;
    for (size_t i = 0; i < h->n; i++) {
        if (strcasecmp(h->v[i].name, name) != 0) {
            h->v[kept++] = h->v[i];
            continue;
        }
        free(h->v[i].name);
        free(h->v[i].value);
    }
    h->n = kept;
}

void hdrs_set(struct hdrs *h, const char *name, const char *value) {
    char *copy = xstrdup(value); /* value may be one of those dropped */
    char *label = xstrdup(name);
    hdrs_drop(h, label);
    hdrs_add(h, label, copy);
    free(label);
    free(copy);
}

const char *hdrs_get(const struct hdrs *h, const char *name) {
    for (size_t i = 0; i < h->n; i++)
        if (strcasecmp(h->v[i].name, name) == 0)
            return h->v[i].value;
    return NULL;
}

void hdrs_free(struct hdrs *h) {
    for (size_t i = 0; i < h->n; i++) {
        free(h->v[i].name);
        free(h->v[i].value);
    }
    free(h->v);
    memset(h, 0, sizeof *h);
}

static bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\r';
}

/* A copy of p's n bytes without blanks around them. */
static char *trimmed(const char *p, size_t n) {
    while (n && is_blank(*p))
        p++, n--;
    while (n && is_blank(p[n - 1]))
        n--;
    return xmemdup(p, n);
}

/* " 503 No Responders", behind the protocol's name. */
static void add_status(struct hdrs *h, const char *p, size_t n) {
    char *text = trimmed(p, n);
    size_t digits = strspn(text, "0123456789");
    if (n && *p == ' ' && digits == 3 && (!text[3] || text[3] == ' ')) {
        if (text[3])
            hdrs_add(h, "Description", text + 4);
        text[3] = 0;
        hdrs_add(h, "Status", text);
    }
    free(text);
}

static void add_line(struct hdrs *h, size_t first, const char *p, size_t n) {
    const char *colon = memchr(p, ':', n);
    if (is_blank(*p) && h->n > first) { /* more of the one before */
        struct hdr *last = &h->v[h->n - 1];
        char *more = trimmed(p, n), *value = last->value;
        last->value = xasprintf("%s%s%s", value, *value && *more ? " " : "", more);
        free(value);
        free(more);
    } else if (colon > p && !memchr(p, 0, (size_t)(colon - p))) {
        char *name = xmemdup(p, (size_t)(colon - p));
        char *value = trimmed(colon + 1, n - (size_t)(colon - p) - 1);
        hdrs_add(h, name, value);
        free(name);
        free(value);
    }
}

void hdrs_parse(struct hdrs *h, const char *block, size_t n) {
    static const char protocol[] = "NATS/1.0";
    const char *end = block + n, *p = block;
    size_t first = h->n;
    for (size_t len; p < end; p += len + 1) {
        const char *stop = memchr(p, '\n', (size_t)(end - p));
        len = (size_t)((stop ? stop : end) - p);
        if (p == block && len >= sizeof protocol - 1 && !memcmp(p, protocol, sizeof protocol - 1))
            add_status(h, p + sizeof protocol - 1, len - (sizeof protocol - 1));
        else if (len)
            add_line(h, first, p, len);
    }
}

static void put_text(struct buf *out, const char *s) {
    struct buf clean = {0};
    utf8_clean(&clean, s, strlen(s));
    (void)jsonval_put_string(out, clean.p ? clean.p : "", clean.len, NULL);
    buf_free(&clean);
}

/* By hash, not by pairs: a message of a megabyte holds some 200,000 headers. */
static json_t *last_of_each(const struct hdrs *h) {
    json_t *last = json_object();
    struct buf key = {0};
    for (size_t i = 0; i < h->n; i++) {
        buf_reset(&key);
        utf8_clean(&key, h->v[i].name, strlen(h->v[i].name));
        for (size_t k = 0; k < key.len; k++)
            key.p[k] = (char)tolower((unsigned char)key.p[k]);
        json_object_set_new(last, key.p ? key.p : "", json_integer((json_int_t)i));
    }
    buf_free(&key);
    return last;
}

void hdrs_to_json(const struct hdrs *h, struct buf *out) {
    json_t *last = last_of_each(h), *index;
    const char *key, *comma = "";
    buf_putc(out, '{');
    json_object_foreach(last, key, index) {
        const struct hdr *one = &h->v[json_integer_value(index)];
        buf_puts(out, comma);
        put_text(out, one->name);
        buf_putc(out, ':');
        put_text(out, one->value);
        comma = ",";
    }
    buf_putc(out, '}');
    json_decref(last);
}

static int add_members(struct hdrs *h, json_t *v, struct err *err) {
    const char *name;
    json_t *value;
    if (!json_is_object(v) && !json_is_null(v))
        return err_set(err, ERR_INVALID, "headers must be a JSON object of strings");
    json_object_foreach(v, name, value) {
        if (!json_is_string(value))
            return err_set(err, ERR_INVALID, "header '%.60s' must be a string", name);
        if (!hdrs_valid(name, json_string_value(value)))
            return err_set(err, ERR_INVALID,
                           "header '%.60s' has a name or value no header can have", name);
        hdrs_add(h, name, json_string_value(value));
    }
    return 0;
}

int hdrs_from_json(struct hdrs *h, const char *text, size_t n, struct err *err) {
    json_t *v = jsonval_read(text, n, err);
    if (!v)
        return -1;
    int rc = add_members(h, v, err);
    json_decref(v);
    return rc;
}

static bool is_token_char(char c) { /* RFC 9110, 5.6.2 */
    return isalnum((unsigned char)c) || (c && strchr("!#$%&'*+-.^_`|~", c));
}

bool hdrs_valid(const char *name, const char *value) {
    if (!*name)
        return false;
    for (const char *p = name; *p; p++)
        if ((unsigned char)*p >= 0x80 || !is_token_char(*p))
            return false;
    return utf8_printable(value, strlen(value));
}
