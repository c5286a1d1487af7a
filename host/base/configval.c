/* SPDX-License-Identifier: MIT */
#include "base/configval.h"
#include "base/config.h"
#include <stdlib.h>
#include <string.h>

static int wrong(const char *who, const char *value, const char *expected, struct err *err) {
    return err_set(err, ERR_CONFIG, "%s is '%.200s', expected %s", who, value, expected);
}

/* A wrong URL is shown as it may be: it can hold a password even when it is wrong. */
static int wrong_url(const char *who, const char *value, const char *expected, struct err *err) {
    struct buf shown = {0};
    config_redact_url(value, &shown);
    wrong(who, shown.p, expected, err);
    buf_free(&shown);
    return -1;
}

static bool is_one_of(const char *value, const char *const *words) {
    for (; *words; words++)
        if (strcmp(value, *words) == 0)
            return true;
    return false;
}

static bool is_name(const char *s) {
    size_t n = strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-");
    return n > 0 && n <= 64 && !s[n];
}

static bool begins(const char *s, const char *with) {
    return strncmp(s, with, strlen(with)) == 0;
}

static bool is_pg_url(const char *s) {
    return begins(s, "postgres://") || begins(s, "postgresql://") ||
           (!strstr(s, "://") && strchr(s, '='));
}

static bool is_nats_url(const char *s) {
    for (size_t n; *s; s += n + (s[n] == ',')) {
        n = strcspn(s, ",");
        const char *scheme = strstr(s, "://");
        if (n == 0 || strcspn(s, " \t\r\n") < n)
            return false;
        if (scheme && scheme < s + n && !begins(s, "nats://") && !begins(s, "tls://"))
            return false;
    }
    return true;
}

/* One prefix of n bytes, with its dot, appended to out. False when a part of it is empty, begins
 * with '$' or holds what no literal token may (the rules of subject_check_literal, a floor up). */
static bool put_prefix(struct buf *out, const char *s, size_t n) {
    if (n > 200 || begins(s, "_INBOX"))
        return false;
    for (size_t i = 0; i < n; i++) {
        bool starts = i == 0 || s[i - 1] == '.';
        if (s[i] <= ' ' || s[i] >= 0x7F || strchr("*>,", s[i]) || (starts && strchr(".$", s[i])))
            return false;
    }
    buf_put(out, s, n);
    if (n > 0 && s[n - 1] != '.')
        buf_putc(out, '.');
    return true;
}

static bool put_prefixes(struct buf *out, const char *s) {
    for (size_t n; *s; s += n + (s[n] == ',')) {
        n = strcspn(s, ",");
        if (out->len)
            buf_putc(out, ',');
        if (n == 0 || !put_prefix(out, s, n))
            return false;
    }
    return true;
}

static int read_prefix(struct configval *v, const char *who, const char *value, struct err *err) {
    struct buf out = {0};
    bool good = v->type == CONFIGVAL_PREFIX ? put_prefix(&out, value, strlen(value))
                                            : put_prefixes(&out, value);
    if (!good) {
        buf_free(&out);
        return wrong(who, value,
                     v->type == CONFIGVAL_PREFIX
                         ? "names joined by dots, like app.test. (no wildcards, '$' or _INBOX)"
                         : "subject prefixes joined by commas, like replies.,app.replies.",
                     err);
    }
    v->text = buf_steal(&out);
    return 0;
}

static int read_text(struct configval *v, const char *who, const char *value, struct err *err) {
    static const char *const levels[] = {"debug", "info", "warn", "error", NULL};
    static const char *const formats[] = {"json", "pretty", NULL};
    if (v->type == CONFIGVAL_TEXT && !*value)
        return wrong(who, value, "some text", err);
    if (v->type == CONFIGVAL_NAME && !is_name(value))
        return wrong(who, value, "1 to 64 of the characters A-Z a-z 0-9 _ -", err);
    if (v->type == CONFIGVAL_LEVEL && !is_one_of(value, levels))
        return wrong(who, value, "debug, info, warn or error", err);
    if (v->type == CONFIGVAL_FORMAT && !is_one_of(value, formats))
        return wrong(who, value, "json or pretty", err);
    if (v->type == CONFIGVAL_PG_URL && !is_pg_url(value))
        return wrong_url(who, value, "a PostgreSQL URL, like postgres://user@host:5432/db", err);
    if (v->type == CONFIGVAL_NATS_URL && (!*value || !is_nats_url(value)))
        return wrong_url(who, value, "a NATS URL, like nats://host:4222", err);
    if (v->type == CONFIGVAL_REDIS_URL && !begins(value, "redis://") && !begins(value, "unix://"))
        return wrong_url(who, value, "a Redis URL, like redis://host:6379 or unix:///path/socket",
                         err);
    v->text = xstrdup(value);
    return 0;
}

/* What a number's unit multiplies it by; 0 when it is none. */
static int64_t unit_ms(const char *unit) {
    static const struct {
        const char *name;
        int64_t ms;
    } units[] = {{"", 1}, {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (strcmp(unit, units[i].name) == 0)
            return units[i].ms;
    return 0;
}

/* false: not digits with a unit, or too large to count. */
static bool read_scaled(const char *value, bool units, int64_t *out) {
    size_t digits = strspn(value, "0123456789");
    int64_t scale = units ? unit_ms(value + digits) : !value[digits];
    if (digits == 0 || scale == 0)
        return false;
    /* strtoll stops at the largest number, which no row allows */
    return !__builtin_mul_overflow(strtoll(value, NULL, 10), scale, out);
}

static int read_number(struct configval *v, const char *who, const char *value, struct err *err) {
    bool time = v->type == CONFIGVAL_DURATION;
    if (!read_scaled(value, time, &v->number))
        return wrong(
            who, value,
            time ? "a time like 500ms, 30s, 5m or 1h, or a number of ms" : "a whole number", err);
    if (v->number < v->min || v->number > v->max)
        return err_set(err, ERR_CONFIG, "%s is '%.60s', expected %lld to %lld%s", who, value,
                       (long long)v->min, (long long)v->max, time ? " ms" : "");
    return 0;
}

static int read_bool(struct configval *v, const char *who, const char *value, struct err *err) {
    static const char *const yes[] = {"1", "true", "yes", "on", NULL};
    static const char *const no[] = {"0", "false", "no", "off", NULL};
    v->number = is_one_of(value, yes);
    if (v->number || is_one_of(value, no))
        return 0;
    return wrong(who, value, "1 or 0 (true, false, yes, no, on, off)", err);
}

int configval_read(struct configval *v, const char *who, const char *value, struct err *err) {
    switch (v->type) {
    case CONFIGVAL_BOOL:
        return read_bool(v, who, value, err);
    case CONFIGVAL_INT:
    case CONFIGVAL_DURATION:
        return read_number(v, who, value, err);
    case CONFIGVAL_PREFIX:
    case CONFIGVAL_PREFIXES:
        return read_prefix(v, who, value, err);
    default:
        return read_text(v, who, value, err);
    }
}
