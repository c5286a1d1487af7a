/* SPDX-License-Identifier: MIT */
#include "pg/pgtypes.h"
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Fixed since the first versions: src/include/catalog/pg_type.dat. */
static const struct type {
    unsigned oid, array_oid;
    enum pgkind kind;
} types[] = {
    /* bool, bytea, numbers, JSON */
    {16, 1000, PGKIND_BOOL},
    {17, 1001, PGKIND_BYTEA},
    {20, 1016, PGKIND_INT},
    {21, 1005, PGKIND_INT},
    {23, 1007, PGKIND_INT},
    {26, 1028, PGKIND_INT},
    {700, 1021, PGKIND_FLOAT},
    {701, 1022, PGKIND_FLOAT},
    {114, 199, PGKIND_JSON},
    {3802, 3807, PGKIND_JSON},
    /* "char", name, text, bpchar, varchar, uuid, numeric */
    {18, 1002, PGKIND_TEXT},
    {19, 1003, PGKIND_TEXT},
    {25, 1009, PGKIND_TEXT},
    {1042, 1014, PGKIND_TEXT},
    {1043, 1015, PGKIND_TEXT},
    {2950, 2951, PGKIND_TEXT},
    {1700, 1231, PGKIND_TEXT},
    /* date, time, timestamp, timestamptz, interval, timetz */
    {1082, 1182, PGKIND_TEXT},
    {1083, 1183, PGKIND_TEXT},
    {1114, 1115, PGKIND_TEXT},
    {1184, 1185, PGKIND_TEXT},
    {1186, 1187, PGKIND_TEXT},
    {1266, 1270, PGKIND_TEXT},
    /* point, xml, bit, varbit, regclass, tsvector */
    {600, 1017, PGKIND_TEXT},
    {142, 143, PGKIND_TEXT},
    {1560, 1561, PGKIND_TEXT},
    {1562, 1563, PGKIND_TEXT},
    {2205, 2210, PGKIND_TEXT},
    {3614, 3643, PGKIND_TEXT},
    /* int4range, numrange, tsrange, tstzrange, daterange, int8range */
    {3904, 3905, PGKIND_TEXT},
    {3906, 3907, PGKIND_TEXT},
    {3908, 3909, PGKIND_TEXT},
    {3910, 3911, PGKIND_TEXT},
    {3912, 3913, PGKIND_TEXT},
    {3926, 3927, PGKIND_TEXT},
    /* cidr, inet, macaddr, money */
    {650, 651, PGKIND_TEXT},
    {869, 1041, PGKIND_TEXT},
    {829, 1040, PGKIND_TEXT},
    {790, 791, PGKIND_TEXT},
};

static const struct type *find(unsigned oid) {
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (types[i].oid == oid || types[i].array_oid == oid)
            return &types[i];
    return NULL;
}

enum pgkind pgtype_kind(unsigned oid, bool *array) {
    const struct type *t = find(oid);
    *array = t && t->array_oid == oid;
    return t ? t->kind : PGKIND_TEXT;
}

bool pgtype_known(unsigned oid) {
    return find(oid);
}

unsigned pgtype_array_of(unsigned oid) {
    const struct type *t = find(oid);
    return t && t->oid == oid ? t->array_oid : 0;
}

/* ---- array literals ---- */

enum { MAX_DIMENSIONS = 6 }; /* the server's MAXDIM */

struct walk {
    const char *at;
    const struct pgarray_visitor *v;
    struct buf text; /* of the element, unescaped */
};

static const char *skip_bounds(const char *s) { /* "[0:1][-1:2]=" */
    if (*s != '[')
        return s;
    s += strspn(s, "[]:+-0123456789");
    return *s == '=' ? s + 1 : s; /* else it is no '{', and refused for that */
}

/* Stands behind the opening quote; ends behind the closing one. */
static bool read_quoted(struct walk *w) {
    for (; *w->at != '"'; w->at++) {
        if (*w->at == '\\')
            w->at++;
        if (!*w->at)
            return false;
        buf_putc(&w->text, *w->at);
    }
    w->at++;
    return true;
}

static bool read_bare(struct walk *w) {
    size_t n = strcspn(w->at, ",{}\"\\");
    buf_put(&w->text, w->at, n);
    w->at += n;
    return n > 0 && (*w->at == ',' || *w->at == '}');
}

/* 1: the callback ended the walk, -1: no array, 0: go on. */
static int read_item(struct walk *w) {
    bool quoted = *w->at == '"';
    buf_reset(&w->text);
    buf_put(&w->text, "", 0);
    w->at += quoted;
    if (!(quoted ? read_quoted(w) : read_bare(w)))
        return -1;
    bool null = !quoted && strcasecmp(w->text.p, "NULL") == 0;
    const char *text = w->text.p ? w->text.p : "";
    return w->v->item(null ? NULL : text, null ? 0 : w->text.len, w->v->arg) ? 1 : 0;
}

/* Behind a '{' a value or '}' comes, behind ',' a value, behind a value ',' or '}'. */
static int walk(struct walk *w) {
    int depth = 0;
    enum { FIRST, VALUE, NEXT } expect = VALUE;
    do {
        int rc = 0;
        if (*w->at == '{' && expect != NEXT && depth < MAX_DIMENSIONS) {
            w->at++, depth++;
            rc = w->v->open(w->v->arg) ? 1 : 0;
            expect = FIRST;
        } else if (*w->at == '}' && expect != VALUE) {
            w->at++, depth--;
            rc = w->v->close(w->v->arg) ? 1 : 0;
            expect = NEXT;
        } else if (*w->at == ',' && expect == NEXT) {
            w->at++;
            expect = VALUE;
        } else if (depth > 0 && expect != NEXT) {
            rc = read_item(w);
            expect = NEXT;
        } else {
            rc = -1;
        }
        if (rc != 0)
            return rc;
    } while (depth > 0);
    return *w->at ? -1 : 0;
}

int pgarray_walk(const char *text, const struct pgarray_visitor *v, struct err *err) {
    struct walk w = {.at = skip_bounds(text), .v = v};
    int rc = walk(&w);
    buf_free(&w.text);
    if (rc < 0)
        err_set(err, ERR_INVALID, "not an array of PostgreSQL (at byte %zu): %.60s",
                (size_t)(w.at - text), text);
    return rc == 0 ? 0 : -1;
}

/* ---- bytea ---- */

static int hex(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

char *pgbytea_decode(const char *text, size_t *len, struct err *err) {
    size_t n = strlen(text);
    bool ok = n >= 2 && n % 2 == 0 && text[0] == '\\' && text[1] == 'x';
    char *bytes = xmalloc(n / 2 + 1);
    size_t out = 0;
    for (size_t i = 2; ok && i < n; i += 2) {
        int hi = hex(text[i]), lo = hex(text[i + 1]);
        ok = hi >= 0 && lo >= 0;
        bytes[out++] = (char)((unsigned)hi << 4 | (unsigned)lo);
    }
    if (!ok) {
        free(bytes);
        err_set(err, ERR_INVALID, "not a bytea in hex form (\\x…): %.60s", text);
        return NULL;
    }
    bytes[out] = '\0';
    *len = out;
    return bytes;
}

void pgbytea_encode(struct buf *out, const char *bytes, size_t n) {
    static const char digits[] = "0123456789abcdef";
    buf_reserve(out, 2 * n + 3);
    buf_puts(out, "\\x");
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)bytes[i];
        buf_putc(out, digits[c >> 4]);
        buf_putc(out, digits[c & 15]);
    }
}
