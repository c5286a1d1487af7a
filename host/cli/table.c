/* SPDX-License-Identifier: MIT */
#include "cli/table.h"
#include "base/jsonval.h"
#include <glib.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#define GAP 2
#define LEAST 8 /* columns that a text is never cut below */
#define BOLD "\033[1m"
#define RED "\033[31m"
#define MAX_COLUMNS 16

/* --- cells --- */

static int char_width(gunichar c) {
    return g_unichar_iszerowidth(c) ? 0 : g_unichar_iswide(c) ? 2 : 1;
}

static int text_width(const char *s) {
    int n = 0;
    for (; *s; s = g_utf8_next_char(s))
        n += char_width(g_utf8_get_char(s));
    return n;
}

/* Nothing that a terminal obeys; s is UTF-8. */
static void put_harmless(struct buf *out, const char *s) {
    for (; *s; s = g_utf8_next_char(s)) {
        gunichar c = g_utf8_get_char(s);
        if (g_unichar_iscntrl(c) || g_unichar_type(c) == G_UNICODE_FORMAT)
            buf_putc(out, ' ');
        else
            buf_put(out, s, (size_t)(g_utf8_next_char(s) - s));
    }
}

void table_put_duration(struct buf *out, int64_t ms) {
    int64_t s = ms / 1000;
    if (ms < 1000)
        buf_printf(out, "%" PRId64 "ms", ms);
    else if (s < 60)
        buf_printf(out, "%" PRId64 "s", s);
    else if (s < 3600)
        buf_printf(out, "%" PRId64 "m %02" PRId64 "s", s / 60, s % 60);
    else if (s < 86400)
        buf_printf(out, "%" PRId64 "h %02" PRId64 "m", s / 3600, s / 60 % 60);
    else
        buf_printf(out, "%" PRId64 "d %02" PRId64 "h", s / 86400, s / 3600 % 24);
}

static void put_age(struct buf *out, int64_t ms, int64_t now_ms) {
    if (ms > now_ms)
        buf_puts(out, "in ");
    table_put_duration(out, ms > now_ms ? ms - now_ms : now_ms - ms);
    if (ms <= now_ms)
        buf_puts(out, " ago");
}

static void put_time(struct buf *out, int64_t ms) {
    time_t seconds = (time_t)(ms / 1000);
    struct tm tm;
    char text[40];
    localtime_r(&seconds, &tm);
    strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &tm);
    buf_printf(out, "%s.%03d", text, (int)(ms % 1000));
}

static void put_cell(struct buf *out, const json_t *v, enum table_type type, int64_t now_ms) {
    buf_puts(out, ""); /* never NULL, also of an empty text */
    if (!v || json_is_null(v))
        return;
    if (json_is_string(v) && type != TABLE_JSON) {
        put_harmless(out, json_string_value(v));
    } else if (type == TABLE_TIME && json_is_number(v)) {
        put_time(out, (int64_t)json_number_value(v));
    } else if (type == TABLE_AGE && json_is_number(v)) {
        put_age(out, (int64_t)json_number_value(v), now_ms);
    } else if (type == TABLE_DURATION && json_is_number(v)) {
        table_put_duration(out, (int64_t)json_number_value(v));
    } else if (json_is_real(v)) {
        buf_printf(out, "%.2f", json_real_value(v));
    } else {
        struct buf text = {0};
        jsonval_write(&text, v);
        put_harmless(out, text.p);
        buf_free(&text);
    }
}

const char *table_state_colour(const char *state) {
    static const char *const words[][2] = {
        {"done", "\033[32m"},
        {"applied", "\033[32m"},
        {"pending", "\033[33m"},
        {"changed", RED},
        {"ok", "\033[32m"},
        {"replayed", "\033[32m"},
        {"waiting", "\033[33m"},
        {"retrying", "\033[33m"},
        {"due", "\033[33m"},
        {"warning", "\033[33m"},
        {"publishing", "\033[33m"},
        {"failed", RED},
        {"unpublished", "\033[33m"},
        {"dead", RED},
        {"problem", RED},
    };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (!strcmp(words[i][0], state))
            return words[i][1];
    return "";
}

static const char *colour_of(const json_t *v, enum table_type type) {
    if (type == TABLE_BAD && json_is_number(v) && json_number_value(v) != 0)
        return RED;
    return type == TABLE_STATE && json_is_string(v) ? table_state_colour(json_string_value(v)) : "";
}

/* --- layout --- */

struct layout {
    const struct table_column *columns;
    int n, widths[MAX_COLUMNS];
    bool colours;
    int64_t now_ms;
};

static bool to_the_right(enum table_type t) {
    return t == TABLE_NUMBER || t == TABLE_BAD || t == TABLE_DURATION;
}

static bool may_be_cut(enum table_type t) {
    return t == TABLE_TEXT || t == TABLE_JSON;
}

static void widen(struct layout *l, const json_t *row) {
    for (int i = 0; i < l->n; i++) {
        struct buf cell = {0};
        put_cell(&cell, json_object_get(row, l->columns[i].key), l->columns[i].type, l->now_ms);
        int w = text_width(cell.p);
        if (w > l->widths[i])
            l->widths[i] = w;
        buf_free(&cell);
    }
}

static int total(const struct layout *l) {
    int sum = GAP * (l->n - 1);
    for (int i = 0; i < l->n; i++)
        sum += l->widths[i];
    return sum;
}

/* Cuts the widest texts until all fits; false when it cannot. */
static bool fit(struct layout *l, int width) {
    while (total(l) > width) {
        int widest = -1;
        for (int i = 0; i < l->n; i++)
            if (may_be_cut(l->columns[i].type) && l->widths[i] > LEAST &&
                (widest < 0 || l->widths[i] > l->widths[widest]))
                widest = i;
        if (widest < 0)
            return false;
        l->widths[widest]--;
    }
    return true;
}

/* As much of s as fits into width columns, "…" for the rest; how many were used. */
static int put_cut(struct buf *out, const char *s, int width) {
    int used = 0, room = text_width(s) > width ? width - 1 : width;
    const char *p = s;
    for (; *p && used + char_width(g_utf8_get_char(p)) <= room; p = g_utf8_next_char(p))
        used += char_width(g_utf8_get_char(p));
    buf_put(out, s, (size_t)(p - s));
    if (*p)
        buf_puts(out, "…");
    return used + (*p != 0);
}

static void put_spaces(struct buf *out, int n) {
    for (; n > 0; n--)
        buf_putc(out, ' ');
}

static void put_padded(struct buf *out, const char *text, const char *colour, int width, bool right,
                       bool last) {
    struct buf cut = {0};
    buf_puts(&cut, "");
    int used = put_cut(&cut, text, width);
    if (right)
        put_spaces(out, width - used);
    buf_printf(out, "%s%s%s", colour, cut.p, *colour ? TABLE_PLAIN : "");
    if (!right && !last)
        put_spaces(out, width - used);
    buf_free(&cut);
}

static void put_titles(struct buf *out, const struct layout *l) {
    for (int i = 0; i < l->n; i++) {
        put_spaces(out, i ? GAP : 0);
        put_padded(out, l->columns[i].title, l->colours ? BOLD : "", l->widths[i],
                   to_the_right(l->columns[i].type), i == l->n - 1);
    }
    buf_putc(out, '\n');
}

static void put_row(struct buf *out, const struct layout *l, const json_t *row) {
    size_t from = out->len;
    for (int i = 0; i < l->n; i++) {
        const json_t *v = json_object_get(row, l->columns[i].key);
        enum table_type type = l->columns[i].type;
        struct buf cell = {0};
        put_cell(&cell, v, type, l->now_ms);
        put_spaces(out, i ? GAP : 0);
        put_padded(out, cell.p, l->colours ? colour_of(v, type) : "", l->widths[i],
                   to_the_right(type), i == l->n - 1);
        buf_free(&cell);
    }
    while (out->len > from && out->p[out->len - 1] == ' ') /* of empty cells */
        out->len--;
    buf_putc(out, '\n');
}

void table_put_fields(struct buf *out, const json_t *row, const struct table_column *columns,
                      bool colours, int64_t now_ms) {
    int width = 0;
    for (const struct table_column *k = columns; k->key; k++)
        width = text_width(k->title) > width ? text_width(k->title) : width;
    for (const struct table_column *k = columns; k->key; k++) {
        const json_t *v = json_object_get(row, k->key);
        struct buf cell = {0};
        put_cell(&cell, v, k->type, now_ms);
        const char *colour = colours ? colour_of(v, k->type) : "";
        if (cell.len) {
            buf_puts(out, "  ");
            put_padded(out, k->title, colours ? BOLD : "", width, false, false);
            buf_printf(out, "  %s%s%s\n", colour, cell.p, *colour ? TABLE_PLAIN : "");
        }
        buf_free(&cell);
    }
}

void table_put(struct buf *out, const json_t *rows, const struct table_column *columns, int width,
               bool colours, int64_t now_ms) {
    struct layout l = {.columns = columns, .colours = colours, .now_ms = now_ms};
    size_t i;
    json_t *row;
    for (; l.n < MAX_COLUMNS && columns[l.n].key; l.n++)
        l.widths[l.n] = text_width(columns[l.n].title);
    json_array_foreach(rows, i, row) widen(&l, row);
    if (width > 0 && !fit(&l, width)) {
        json_array_foreach(rows, i, row) {
            if (i)
                buf_putc(out, '\n');
            table_put_fields(out, row, columns, colours, now_ms);
        }
        return;
    }
    put_titles(out, &l);
    json_array_foreach(rows, i, row) put_row(out, &l, row);
}
