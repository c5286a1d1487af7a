/* SPDX-License-Identifier: MIT */
#include "base/log.h"
#include "base/clock.h"
#include "base/jsonval.h"
#include "base/secrets.h"
#include "base/utf8.h"
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum format { FORMAT_UNSET, FORMAT_JSON, FORMAT_PRETTY };

static _Atomic int least_level = LOG_INFO;
static _Atomic int format = FORMAT_UNSET;

static const char *const level_names[] = {"debug", "info", "warn", "error"};
static const char *const level_colours[] = {"\033[2m", "\033[32m", "\033[33m", "\033[31m"};

void log_set_level(enum log_level least) {
    atomic_store(&least_level, (int)least);
}

bool log_enabled(enum log_level level) {
    return (int)level >= atomic_load_explicit(&least_level, memory_order_relaxed);
}

int log_set_format(const char *name) {
    if (!name)
        atomic_store(&format, isatty(STDERR_FILENO) ? FORMAT_PRETTY : FORMAT_JSON);
    else if (!strcmp(name, "json"))
        atomic_store(&format, FORMAT_JSON);
    else if (!strcmp(name, "pretty"))
        atomic_store(&format, FORMAT_PRETTY);
    else
        return -1;
    return 0;
}

static void put_string(struct buf *out, const char *s) {
    size_t n = strlen(s);
    if (jsonval_put_string(out, s, n, NULL) == 0)
        return;
    struct buf clean = {0};
    utf8_clean(&clean, s, n);
    (void)jsonval_put_string(out, clean.p, clean.len, NULL);
    buf_free(&clean);
}

static bool left_out(const struct log_field *f) {
    return (f->type == LOG_STRING || f->type == LOG_JSON) && !f->v.s;
}

/* A bare word where it cannot be misread, else as a JSON string: no value can forge a line. */
static void put_word(struct buf *out, const char *s) {
    size_t n = strlen(s);
    if (n && utf8_printable(s, n) && !strpbrk(s, " \"=\\"))
        buf_put(out, s, n);
    else
        put_string(out, s);
}

/* As it may be shown; the caller's. NULL: as it is. */
static char *without_secrets(const struct log_field *f) {
    struct buf out = {0};
    bool secret = f->foreign && secrets_is_key(f->key);
    if (f->type != LOG_JSON && f->type != LOG_BOOL && secret)
        return xstrdup(SECRETS_HIDDEN);
    if (f->type == LOG_STRING) {
        /* a request's id is the thread that people follow: never broken */
        if (!strcmp(f->key, "request_id") || !secrets_suspected(f->v.s))
            return NULL;
        secrets_put(&out, f->v.s, strlen(f->v.s));
        return buf_steal(&out);
    }
    json_t *v = f->type == LOG_JSON ? json_loads(f->v.s, JSON_DECODE_ANY, NULL) : NULL;
    if (!json_is_object(v) && !json_is_array(v)) {
        json_decref(v);
        return NULL;
    }
    if (secret)
        buf_puts(&out, "\"" SECRETS_HIDDEN "\"");
    secrets_hide(v);
    if (!out.len)
        jsonval_write(&out, v);
    json_decref(v);
    return buf_steal(&out);
}

static void put_plain(struct buf *out, const struct log_field *f) {
    switch (f->type) {
    case LOG_STRING:
        put_string(out, f->v.s);
        break;
    case LOG_INT:
        buf_printf(out, "%lld", (long long)f->v.i);
        break;
    case LOG_FLOAT:
        if (jsonval_put_number(out, f->v.f, NULL))
            buf_puts(out, "null");
        break;
    case LOG_BOOL:
        buf_puts(out, f->v.i ? "true" : "false");
        break;
    case LOG_JSON:
        buf_puts(out, f->v.s);
        break;
    }
}

/* words: a text is a bare word where it cannot be misread. */
static void put_value(struct buf *out, const struct log_field *f, bool words) {
    char *clean = without_secrets(f);
    if (clean && f->type == LOG_JSON)
        buf_puts(out, clean);
    else if (clean || f->type == LOG_STRING)
        (words ? put_word : put_string)(out, clean ? clean : f->v.s);
    else
        put_plain(out, f);
    free(clean);
}

static void put_json(struct buf *out, enum log_level level, const char *msg,
                     const struct log_field *f) {
    int64_t now = clock_wall_ms();
    time_t seconds = (time_t)(now / 1000);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    buf_printf(out, "{\"time\":\"%04d-%02d-%02dT%02d:%02d:%02d.%03dZ\",\"level\":\"%s\",\"msg\":",
               tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
               (int)(now % 1000), level_names[level]);
    put_string(out, msg);
    buf_printf(out, ",\"pid\":%d", (int)getpid());
    for (; f->key; f++) {
        if (left_out(f))
            continue;
        buf_putc(out, ',');
        put_string(out, f->key);
        buf_putc(out, ':');
        put_value(out, f, false);
    }
    buf_putc(out, '}');
}

static void put_message(struct buf *out, const char *msg) {
    if (utf8_printable(msg, strlen(msg)))
        buf_puts(out, msg);
    else
        put_string(out, msg);
}

static void put_pretty(struct buf *out, enum log_level level, const char *msg,
                       const struct log_field *f) {
    int64_t now = clock_wall_ms();
    time_t seconds = (time_t)(now / 1000);
    bool colours = isatty(STDERR_FILENO) && !getenv("NO_COLOR");
    struct tm tm;
    localtime_r(&seconds, &tm);
    buf_printf(out, "%02d:%02d:%02d.%03d %s%-5s%s ", tm.tm_hour, tm.tm_min, tm.tm_sec,
               (int)(now % 1000), colours ? level_colours[level] : "", level_names[level],
               colours ? "\033[0m" : "");
    put_message(out, msg);
    for (const char *gap = "  "; f->key; f++) {
        if (left_out(f))
            continue;
        buf_printf(out, "%s%s=", gap, f->key);
        put_value(out, f, true);
        gap = " ";
    }
}

/* A pipe may take a long line in parts; a reader that is gone must not end the host. */
static void write_all(const char *p, size_t n) {
    while (n > 0) {
        ssize_t done = write(STDERR_FILENO, p, n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return;
        p += done;
        n -= (size_t)done;
    }
}

void log_write(enum log_level level, const char *msg, const struct log_field *fields) {
    if (!log_enabled(level))
        return;
    if (atomic_load(&format) == FORMAT_UNSET)
        log_set_format(NULL);
    int saved = errno;
    struct buf line = {0};
    if (atomic_load(&format) == FORMAT_PRETTY)
        put_pretty(&line, level, msg, fields);
    else
        put_json(&line, level, msg, fields);
    buf_putc(&line, '\n');
    write_all(line.p, line.len);
    buf_free(&line);
    errno = saved;
}

/* Messages of the current second, by their text's hash: two that share a slot share its share. */
static struct {
    uint64_t second;
    unsigned n;
} lately[64];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* How many there were before it in this second. */
static unsigned count_lately(const char *msg) {
    uint64_t second = clock_mono_ms() / 1000;
    unsigned hash = 5381;
    for (const char *p = msg; *p; p++)
        hash = hash * 33 + (unsigned char)*p;
    unsigned i = hash % (sizeof lately / sizeof *lately);
    pthread_mutex_lock(&lock);
    if (lately[i].second != second) {
        lately[i].second = second;
        lately[i].n = 0;
    }
    unsigned n = lately[i].n++;
    pthread_mutex_unlock(&lock);
    return n;
}

void log_often(enum log_level level, const char *msg, const struct log_field *fields) {
    unsigned n = log_enabled(level) ? count_lately(msg) : 0;
    if (n < LOG_MOST)
        log_write(level, msg, fields);
    else if (n == LOG_MOST)
        log_write(level, "more of the last kind of line are left out until the next second",
                  log_fields_(LOG_S("kind", msg)));
}

/* No line of theirs can be taken for one of the log's. */
static void put_details(struct buf *out, const char *details) {
    struct buf clean = {0};
    utf8_clean(&clean, details, strlen(details));
    for (const char *p = clean.p, *end; p && *p; p = *end ? end + 1 : end) {
        end = p + strcspn(p, "\n");
        buf_printf(out, "  %.*s\n", (int)(end - p), p);
    }
    for (size_t i = 0; i < out->len; i++)
        if ((unsigned char)out->p[i] < 32 && out->p[i] != '\n')
            out->p[i] = ' ';
    buf_free(&clean);
}

void log_with_details(enum log_level level, const char *msg, const char *details) {
    if (atomic_load(&format) == FORMAT_UNSET)
        log_set_format(NULL);
    bool pretty = atomic_load(&format) == FORMAT_PRETTY;
    log_write(level, msg, log_fields_(LOG_S("details", pretty ? NULL : details)));
    if (!pretty || !details || !log_enabled(level))
        return;
    struct buf lines = {0};
    put_details(&lines, details);
    write_all(lines.p, lines.len);
    buf_free(&lines);
}
