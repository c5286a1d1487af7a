/* SPDX-License-Identifier: MIT */
#include "base/jsonval.h"
#include "base/utf8.h"
#include "wire/envelope.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define FEW 16 /* headers: each is compared with each */

static void add(struct hdrs *h, const char *name, size_t n, const char *value, size_t len) {
    if (h->n == h->cap) {
        h->cap = h->cap ? 2 * h->cap : 8;
        h->v = xrealloc(h->v, h->cap * sizeof *h->v);
    }
    char *p = xmalloc(n + len + 2);
    memcpy(p, name, n);
    p[n] = 0;
    memcpy(p + n + 1, value, len);
    p[n + 1 + len] = 0;
    h->v[h->n++] = (struct hdr){p, p + n + 1};
}

void hdrs_add(struct hdrs *h, const char *name, const char *value) {
    add(h, name, strlen(name), value, strlen(value));
}

/* Those of that name among the first `end`. */
static void drop_before(struct hdrs *h, const char *name, size_t end) {
    size_t kept = 0;
    for (size_t i = 0; i < h->n; i++) {
        if (i >= end || strcasecmp(h->v[i].name, name) != 0)
            h->v[kept++] = h->v[i];
        else
            free(h->v[i].name);
    }
    h->n = kept;
}

void hdrs_drop(struct hdrs *h, const char *name) {
    drop_before(h, name, h->n);
}

void hdrs_set(struct hdrs *h, const char *name, const char *value) {
    hdrs_add(h, name, value); /* first: name and value may be of those that are dropped */
    drop_before(h, h->v[h->n - 1].name, h->n - 1);
}

const char *hdrs_get(const struct hdrs *h, const char *name) {
    for (size_t i = 0; i < h->n; i++)
        if (strcasecmp(h->v[i].name, name) == 0)
            return h->v[i].value;
    return NULL;
}

void hdrs_free(struct hdrs *h) {
    for (size_t i = 0; i < h->n; i++)
        free(h->v[i].name);
    free(h->v);
    memset(h, 0, sizeof *h);
}

static bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\r';
}

/* Without blanks around it. */
static const char *trim(const char *p, size_t *n) {
    while (*n && is_blank(*p))
        p++, --*n;
    while (*n && is_blank(p[*n - 1]))
        --*n;
    return p;
}

/* " 503 No Responders", behind the protocol's name. */
static void add_status(struct hdrs *h, const char *p, size_t n) {
    size_t len = n;
    const char *start = trim(p, &len);
    char *text = xmemdup(start, len);
    size_t digits = strspn(text, "0123456789");
    if (n && *p == ' ' && digits == 3 && (!text[3] || text[3] == ' ')) {
        if (text[3])
            hdrs_add(h, "Description", text + 4);
        text[3] = 0;
        hdrs_add(h, "Status", text);
    }
    free(text);
}

/* The header whose lines are being read. */
struct reading {
    struct hdrs *h;
    const char *name, *value; /* name NULL: none yet */
    size_t name_len, value_len;
    struct buf folded; /* its value, if it has more than one line: a message has room for 300,000 */
};

static void finish(struct reading *r) {
    if (r->name)
        add(r->h, r->name, r->name_len, r->value, r->value_len);
    buf_reset(&r->folded);
}

static void add_more(struct reading *r, const char *more, size_t n) {
    if (!n)
        return;
    if (!r->folded.len)
        buf_put(&r->folded, r->value, r->value_len);
    if (r->folded.len)
        buf_putc(&r->folded, ' ');
    buf_put(&r->folded, more, n);
    r->value = r->folded.p;
    r->value_len = r->folded.len;
}

static void read_line(struct reading *r, const char *p, size_t n) {
    const char *colon = memchr(p, ':', n);
    if (is_blank(*p) && r->name) {
        const char *more = trim(p, &n);
        add_more(r, more, n);
    } else if (colon > p && !memchr(p, 0, (size_t)(colon - p))) {
        finish(r);
        r->name = p;
        r->name_len = (size_t)(colon - p);
        r->value_len = n - r->name_len - 1;
        r->value = trim(colon + 1, &r->value_len);
    }
}

void hdrs_parse(struct hdrs *h, const char *block, size_t n) {
    static const char protocol[] = "NATS/1.0";
    const char *end = block + n, *p = block;
    struct reading r = {.h = h};
    for (size_t len; p < end; p += len + 1) {
        const char *stop = memchr(p, '\n', (size_t)(end - p));
        len = (size_t)((stop ? stop : end) - p);
        if (p == block && len >= sizeof protocol - 1 && !memcmp(p, protocol, sizeof protocol - 1))
            add_status(h, p + sizeof protocol - 1, len - (sizeof protocol - 1));
        else if (len)
            read_line(&r, p, len);
    }
    finish(&r);
    buf_free(&r.folded);
}

static void put_text(struct buf *out, const char *s) {
    struct buf clean = {0};
    if (jsonval_put_string(out, s, strlen(s), NULL) == 0)
        return;
    utf8_clean(&clean, s, strlen(s));
    (void)jsonval_put_string(out, clean.p ? clean.p : "", clean.len, NULL);
    buf_free(&clean);
}

static void put_member(struct buf *out, const struct hdr *one) {
    if (out->p[out->len - 1] != '{')
        buf_putc(out, ',');
    put_text(out, one->name);
    buf_putc(out, ':');
    put_text(out, one->value);
}

/* Where the name of header i stands last; -1: it has been before. */
static long last_of_few(const struct hdrs *h, size_t i) {
    size_t last = i;
    for (size_t k = 0; k < h->n; k++) {
        if (strcasecmp(h->v[k].name, h->v[i].name) != 0)
            continue;
        if (k < i)
            return -1;
        last = k;
    }
    return (long)last;
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

static void put_many(const struct hdrs *h, struct buf *out) {
    json_t *last = last_of_each(h), *index;
    const char *key;
    json_object_foreach(last, key, index) put_member(out, &h->v[json_integer_value(index)]);
    json_decref(last);
}

void hdrs_to_json(const struct hdrs *h, struct buf *out) {
    buf_putc(out, '{');
    if (h->n > FEW)
        put_many(h, out);
    for (size_t i = 0; h->n <= FEW && i < h->n; i++) {
        long last = last_of_few(h, i);
        if (last >= 0)
            put_member(out, &h->v[last]);
    }
    buf_putc(out, '}');
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
