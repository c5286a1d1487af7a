/* SPDX-License-Identifier: MIT */
#include "base/cronspec.h"
#include "base/config.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define MAX_TEXT 1000
#define YEAR_2000 946684800

static const char *const months[] = {"JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL",
                                     "AUG", "SEP", "OCT", "NOV", "DEC", NULL};
static const char *const weekdays[] = {"SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT", NULL};

static const struct field {
    const char *name;
    int min, max;
    const char *const *words; /* the first stands for min */
} fields[] = {
    {"second", 0, 59, NULL},       {"minute", 0, 59, NULL},  {"hour", 0, 23, NULL},
    {"day of month", 1, 31, NULL}, {"month", 1, 12, months}, {"day of week", 0, 7, weekdays},
};
enum { SECOND, MINUTE, HOUR, DAY, MONTH, WEEKDAY, FIELDS };

static const struct {
    const char *name, *fields;
} presets[] = {
    {"@yearly", "0 0 1 1 *"}, {"@annually", "0 0 1 1 *"}, {"@monthly", "0 0 1 * *"},
    {"@weekly", "0 0 * * 0"}, {"@daily", "0 0 * * *"},    {"@midnight", "0 0 * * *"},
    {"@hourly", "0 * * * *"},
};
#define N_PRESETS (sizeof presets / sizeof *presets)

/* --- one field --- */

/* What the messages are about: "cron '0 25 * * *': hour". */
struct place {
    const char *text;
    const struct field *f;
    struct err *err;
};

#define REFUSE(p, fmt, ...)                                                                        \
    err_set((p)->err, ERR_INVALID, "cron '%.100s': %s " fmt, (p)->text,                            \
            (p)->f->name __VA_OPT__(, ) __VA_ARGS__)

/* Characters that other crons give a meaning. */
static bool is_foreign(const char *word, bool words) {
    if (!words || isdigit((unsigned char)word[0]))
        return strpbrk(word, "LWH#?") != NULL;
    return strpbrk(word, "#?") != NULL;
}

static int refuse_word(const struct place *p, const char *word) {
    const char *near = NULL;
    if (is_foreign(word, p->f->words != NULL))
        return REFUSE(
            p,
            "'%.40s': L, W, H, # and ? are not known here; there are *, lists, ranges and "
            "steps",
            word);
    for (int i = 0; p->f->words && p->f->words[i] && !near; i++)
        if (!strncasecmp(word, p->f->words[i], 3)) /* "MONDAY" */
            near = p->f->words[i];
    if (!near && p->f->words)
        near = config_nearest(word, p->f->words);
    if (near)
        return REFUSE(p, "'%.40s' is unknown, did you mean '%s'?", word, near);
    return REFUSE(p, "'%.40s' is no number from %d to %d%s", word, p->f->min, p->f->max,
                  p->f->words ? " and no name of three letters" : "");
}

static int read_number(const char *word, int *n) {
    size_t len = strlen(word);
    if (len == 0 || len > 6 || strspn(word, "0123456789") != len)
        return -1;
    *n = atoi(word);
    return 0;
}

static int read_value(const struct place *p, const char *word, int *n) {
    const struct field *f = p->f;
    if (!*word)
        return REFUSE(p, "has an empty place where a number from %d to %d belongs", f->min, f->max);
    for (int i = 0; f->words && f->words[i]; i++)
        if (!strcasecmp(word, f->words[i])) {
            *n = f->min + i;
            return 0;
        }
    if (read_number(word, n))
        return refuse_word(p, word);
    if (*n < f->min || *n > f->max)
        return REFUSE(p, "is '%.40s', which must be from %d to %d", word, f->min, f->max);
    return 0;
}

/* "a-b" or one value; to is -1 for one value. Writes into item. */
static int read_range(const struct place *p, char *item, int *from, int *to) {
    char *dash = strchr(item, '-');
    *to = -1;
    if (dash)
        *dash++ = 0;
    if (read_value(p, item, from) || (dash && read_value(p, dash, to)))
        return -1;
    if (dash && *from > *to)
        return REFUSE(p, "range '%.20s-%.20s' runs backwards; write it as two: %d-%d,%d-%d", item,
                      dash, *from, p->f == &fields[WEEKDAY] ? 6 : p->f->max, p->f->min, *to);
    return 0;
}

/* One item of the list: *, n, a-b, each with /step. */
static int read_item(const struct place *p, char *item, uint64_t *bits) {
    const struct field *f = p->f;
    char *slash = strchr(item, '/');
    int from = f->min, to = f->max, step = 1;
    if (slash)
        *slash++ = 0;
    if (slash && (read_number(slash, &step) || step < 1))
        return REFUSE(p, "has the step '%.40s', which must be a number from 1 on", slash);
    if (strcmp(item, "*")) {
        if (read_range(p, item, &from, &to))
            return -1;
        if (to < 0)
            to = slash ? f->max : from;
    }
    for (int n = from; n <= to; n += step)
        *bits |= 1ULL << (f == &fields[WEEKDAY] ? n % 7 : n);
    return 0;
}

/* Writes into text. */
static int read_field(const struct place *p, char *text, uint64_t *bits) {
    *bits = 0;
    for (char *item = text, *comma; item; item = comma) {
        comma = strchr(item, ',');
        if (comma)
            *comma++ = 0;
        if (read_item(p, item, bits))
            return -1;
    }
    return 0;
}

/* --- the whole --- */

/* Splits at white space, in place; the number of words, at most max + 1. */
static int split(char *s, char **words, int max) {
    int n = 0;
    while (n <= max) {
        s += strspn(s, " \t");
        if (!*s)
            break;
        words[n++] = s;
        s += strcspn(s, " \t");
        if (*s)
            *s++ = 0;
    }
    return n;
}

static int read_fields(struct cronspec *s, const char *text, char *copy, struct err *err) {
    char *words[FIELDS + 1];
    uint64_t bits[FIELDS] = {1}; /* second 0, unless there are six */
    int n = split(copy, words, FIELDS);
    int skip = FIELDS - n;
    if (skip < 0 || skip > 1)
        return err_set(err, ERR_INVALID,
                       "cron '%.100s' has %s%d fields, expected 5: minute hour day-of-month month "
                       "day-of-week (or 6, with seconds first)",
                       text, skip < 0 ? "more than " : "", skip < 0 ? FIELDS : n);
    for (int i = skip; i < FIELDS; i++) {
        struct place p = {text, &fields[i], err};
        bool star = words[i - skip][0] == '*';
        s->any_day = i == DAY ? star : s->any_day;
        s->any_weekday = i == WEEKDAY ? star : s->any_weekday;
        if (read_field(&p, words[i - skip], &bits[i]))
            return -1;
    }
    s->seconds = bits[SECOND];
    s->minutes = bits[MINUTE];
    s->hours = (uint32_t)bits[HOUR];
    s->days = (uint32_t)bits[DAY];
    s->months = (uint16_t)bits[MONTH];
    s->weekdays = (uint8_t)bits[WEEKDAY];
    return 0;
}

static const char *expand(const char *text, struct err *err) {
    const char *names[N_PRESETS + 1] = {NULL};
    for (size_t i = 0; i < N_PRESETS; i++) {
        if (!strcasecmp(text, presets[i].name))
            return presets[i].fields;
        names[i] = presets[i].name;
    }
    const char *near = config_nearest(text, names);
    err_set(err, ERR_INVALID, "cron '%.100s' is unknown%s%s%s", text,
            near ? ", did you mean '" : "",
            near ? near : ": there are @yearly @annually @monthly @weekly @daily @midnight @hourly",
            near ? "'?" : "");
    return NULL;
}

int cronspec_parse(struct cronspec *s, const char *text, struct err *err) {
    memset(s, 0, sizeof *s);
    if (strlen(text) > MAX_TEXT)
        return err_set(err, ERR_INVALID, "a cron of %zu characters; at most %d are read",
                       strlen(text), MAX_TEXT);
    const char *plain = text[0] == '@' ? expand(text, err) : text;
    if (!plain)
        return -1;
    char *copy = xstrdup(plain);
    int rc = read_fields(s, text, copy, err);
    free(copy);
    if (rc == 0 && cronspec_next(s, NULL, YEAR_2000) < 0)
        rc = err_set(err, ERR_INVALID, "cron '%.100s' never fires: no month of it has such a day",
                     text);
    return rc;
}
