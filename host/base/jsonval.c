/* SPDX-License-Identifier: MIT */
#include "base/jsonval.h"
#include "base/utf8.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_DEPTH 512
#define MAX_INTEGER 9007199254740992 /* 2^53 */

/* Where in a value the walk is, for messages: a chain on the C stack, innermost first. */
struct place {
    const struct place *up;
    const char *key; /* NULL: an index */
    size_t index;
};

static void place_put(const struct place *at, struct buf *out) {
    if (!at->up)
        return;
    place_put(at->up, out);
    if (at->key)
        buf_printf(out, ".%.40s", at->key);
    else
        buf_printf(out, "[%zu]", at->index);
}

static void one_line(struct buf *text) {
    for (size_t i = 0; i < text->len; i++)
        if ((unsigned char)text->p[i] < 0x20 || text->p[i] == 0x7F)
            text->p[i] = ' ';
}

static int refuse(struct err *err, const struct place *at, const char *why) {
    struct buf path = {0}, clean = {0};
    place_put(at, &path);
    if (path.len > 200) { /* the end tells more than the beginning */
        memmove(path.p, path.p + path.len - 200, 201);
        path.len = 200;
    }
    utf8_clean(&clean, path.len ? path.p : "", path.len);
    one_line(&clean); /* keys may hold anything */
    err_set(err, ERR_INVALID, "JSON value%s%s: %s", clean.len ? " at " : "",
            clean.len ? clean.p : "", why);
    buf_free(&path);
    buf_free(&clean);
    return -1;
}

/* What jansson lets through and this host does not. */
static int check(const json_t *v, const struct place *at, int depth, struct err *err) {
    if (json_is_integer(v)) {
        json_int_t i = json_integer_value(v);
        if (i > MAX_INTEGER || i < -MAX_INTEGER)
            return refuse(err, at, "an integer beyond 2^53, send it as a string");
    }
    if ((json_is_object(v) || json_is_array(v)) && depth >= MAX_DEPTH)
        return err_set(err, ERR_INVALID, "JSON value nested deeper than %d levels", MAX_DEPTH);
    const char *key;
    json_t *item;
    size_t i;
    json_object_foreach((json_t *)v, key, item) {
        if (check(item, &(struct place){at, key, 0}, depth + 1, err))
            return -1;
    }
    json_array_foreach(v, i, item) {
        if (check(item, &(struct place){at, NULL, i}, depth + 1, err))
            return -1;
    }
    return 0;
}

static bool is_blank(const char *text, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (!memchr(" \t\r\n", text[i], 4))
            return false;
    return true;
}

/* jansson quotes the text around the fault, which may hold anything and be cut inside a character:
 * make it one line of text. */
static void syntax_error(const json_error_t *e, struct err *err) {
    struct buf clean = {0};
    utf8_clean(&clean, e->text, strlen(e->text));
    one_line(&clean);
    const char *cure =
        json_error_code(e) == json_error_numeric_overflow ? ", send it as a string" : "";
    err_set(err, ERR_INVALID, "invalid JSON at line %d column %d (byte %d): %s%s", e->line,
            e->column, e->position, clean.p ? clean.p : "", cure);
    buf_free(&clean);
}

json_t *jsonval_read(const char *text, size_t n, struct err *err) {
    if (is_blank(text, n))
        return json_null();
    json_error_t e;
    json_t *v = json_loadb(text, n, JSON_DECODE_ANY, &e);
    if (!v) {
        syntax_error(&e, err);
        return NULL;
    }
    if (check(v, &(struct place){0}, 0, err)) {
        json_decref(v);
        return NULL;
    }
    return v;
}

static void put_escaped(struct buf *out, unsigned char c) {
    static const char *const names[] = {
        ['\b'] = "\\b", ['\t'] = "\\t", ['\n'] = "\\n", ['\f'] = "\\f",
        ['\r'] = "\\r", ['"'] = "\\\"", ['\\'] = "\\\\"};
    if (names[c])
        buf_put(out, names[c], 2);
    else
        buf_printf(out, "\\u%04x", c);
}

/* s is valid UTF-8. Runs of plain bytes are copied at once. */
static void put_quoted(struct buf *out, const char *s, size_t n) {
    size_t from = 0;
    buf_putc(out, '"');
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        buf_put(out, s + from, i - from);
        put_escaped(out, c);
        from = i + 1;
    }
    buf_put(out, s + from, n - from);
    buf_putc(out, '"');
}

int jsonval_put_string(struct buf *out, const char *s, size_t n, struct err *err) {
    if (n && memchr(s, 0, n))
        return err_set(err, ERR_INVALID, "string holds a NUL byte, which PostgreSQL cannot store");
    if (!utf8_valid(s, n))
        return err_set(err, ERR_INVALID, "string is not valid UTF-8, encode bytes (base64) first");
    put_quoted(out, s, n);
    return 0;
}

/* Beyond 2^53 every double is a whole number, and both "1e20" and "100000000000000000000" come back
 * from jsonb as integers that would be refused: the ".0" survives there. */
static void put_real(struct buf *out, double d) {
    char text[32];
    if (fabs(d) > (double)MAX_INTEGER) {
        buf_printf(out, "%.1f", d);
        return;
    }
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, d);
        if (strtod(text, NULL) == d)
            break;
    }
    buf_puts(out, text);
}

int jsonval_put_number(struct buf *out, double d, struct err *err) {
    if (!isfinite(d))
        return err_set(err, ERR_INVALID, "%s is no JSON number", isnan(d) ? "NaN" : "infinity");
    if (fabs(d) <= (double)MAX_INTEGER && d == trunc(d))
        buf_printf(out, "%lld", (long long)d); /* also -0, which jsonb makes 0 */
    else
        put_real(out, d);
    return 0;
}

static void write_object(struct buf *out, const json_t *v) {
    const char *key, *comma = "";
    json_t *item;
    buf_putc(out, '{');
    json_object_foreach((json_t *)v, key, item) {
        buf_puts(out, comma);
        put_quoted(out, key, strlen(key));
        buf_putc(out, ':');
        jsonval_write(out, item);
        comma = ",";
    }
    buf_putc(out, '}');
}

static void write_array(struct buf *out, const json_t *v) {
    size_t i;
    json_t *item;
    buf_putc(out, '[');
    json_array_foreach(v, i, item) {
        if (i)
            buf_putc(out, ',');
        jsonval_write(out, item);
    }
    buf_putc(out, ']');
}

void jsonval_write(struct buf *out, const json_t *v) {
    switch (v ? json_typeof(v) : JSON_NULL) {
    case JSON_OBJECT:
        write_object(out, v);
        break;
    case JSON_ARRAY:
        write_array(out, v);
        break;
    case JSON_STRING:
        put_quoted(out, json_string_value(v), json_string_length(v));
        break;
    case JSON_INTEGER:
        buf_printf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
        break;
    case JSON_REAL: /* jansson never holds NaN or infinity */
        (void)jsonval_put_number(out, json_real_value(v), NULL);
        break;
    case JSON_TRUE:
        buf_puts(out, "true");
        break;
    case JSON_FALSE:
        buf_puts(out, "false");
        break;
    case JSON_NULL:
        buf_puts(out, "null");
        break;
    }
}

static bool same_object(const json_t *a, const json_t *b) {
    const char *key;
    json_t *item;
    if (json_object_size(a) != json_object_size(b))
        return false;
    json_object_foreach((json_t *)a, key, item) {
        const json_t *other = json_object_get(b, key);
        if (!other || !jsonval_same(item, other))
            return false;
    }
    return true;
}

static bool same_array(const json_t *a, const json_t *b) {
    size_t i;
    json_t *item;
    if (json_array_size(a) != json_array_size(b))
        return false;
    json_array_foreach(a, i, item) {
        if (!jsonval_same(item, json_array_get(b, i)))
            return false;
    }
    return true;
}

bool jsonval_same(const json_t *a, const json_t *b) {
    if (json_is_integer(a) && json_is_integer(b))
        return json_integer_value(a) == json_integer_value(b);
    if (json_is_number(a) && json_is_number(b))
        return json_number_value(a) == json_number_value(b);
    if (json_typeof(a) != json_typeof(b))
        return false;
    switch (json_typeof(a)) {
    case JSON_OBJECT:
        return same_object(a, b);
    case JSON_ARRAY:
        return same_array(a, b);
    case JSON_STRING:
        return json_equal(a, b);
    default:
        return true;
    }
}

bool jsonval_same_text(const char *a, size_t an, const char *b, size_t bn) {
    if (an == bn && (an == 0 || memcmp(a, b, an) == 0))
        return true;
    json_t *x = jsonval_read(a, an, NULL), *y = jsonval_read(b, bn, NULL);
    bool same = x && y && jsonval_same(x, y);
    json_decref(x);
    json_decref(y);
    return same;
}

bool jsonval_is_utf8(const char *s, size_t n) {
    return (n == 0 || !memchr(s, 0, n)) && utf8_valid(s, n);
}
