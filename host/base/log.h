/* SPDX-License-Identifier: MIT */
/* log - one line an event on standard error, JSON or (on a terminal, or when asked) pretty.
 * Each line is one write(2). Any thread. Invalid UTF-8 in values is replaced, never passed on, and
 * secrets are hidden (secrets.h): values under such keys of handlers, also within LOG_JSON, and
 * what looks like one in texts. msg is the host's own or the user's words, and goes out as it is.
 *
 *     log_info("worker ready", LOG_S("version", v), LOG_I("operations", n));
 *   → {"time":"2026-01-02T03:04:05.678Z","level":"info","msg":"worker ready","pid":7,"version":"…"}
 */
#ifndef RBF_LOG_H
#define RBF_LOG_H
#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

struct log_field {
    const char *key; /* NULL ends the list */
    enum { LOG_STRING, LOG_INT, LOG_FLOAT, LOG_BOOL, LOG_JSON } type;
    /* The key is not of the host's own choice: it tells whether its value is secret. */
    bool foreign;
    union {
        const char *s; /* LOG_STRING: NULL leaves the field out; LOG_JSON: text, taken verbatim */
        int64_t i;
        double f;
    } v;
};

#define LOG_S(k, val) ((struct log_field){.key = (k), .type = LOG_STRING, .v.s = (val)})
#define LOG_I(k, val) ((struct log_field){.key = (k), .type = LOG_INT, .v.i = (int64_t)(val)})
#define LOG_F(k, val) ((struct log_field){.key = (k), .type = LOG_FLOAT, .v.f = (val)})
#define LOG_B(k, val) ((struct log_field){.key = (k), .type = LOG_BOOL, .v.i = (val)})
#define LOG_J(k, val) ((struct log_field){.key = (k), .type = LOG_JSON, .v.s = (val)})

void log_set_level(enum log_level least);
/* "json", "pretty" or NULL (pretty when standard error is a terminal). -1 on another word. */
int log_set_format(const char *format);
bool log_enabled(enum log_level level);
void log_write(enum log_level level, const char *msg, const struct log_field *fields);

/* The same for what can go wrong for each of thousands of messages: after LOG_MOST lines of one
 * message within a second, one line says that the others are left out until the next. */
void log_often(enum log_level level, const char *msg, const struct log_field *fields);
#define LOG_MOST 50
/* With more lines for people: below a pretty line, indented; a field "details" of JSON. NULL: none.
 */
void log_with_details(enum log_level level, const char *msg, const char *details);

#define log_fields_(...) ((const struct log_field[]){__VA_ARGS__ __VA_OPT__(, ){.key = 0}})
#define log_debug(msg, ...)                                                                        \
    (log_enabled(LOG_DEBUG) ? log_write(LOG_DEBUG, msg, log_fields_(__VA_ARGS__)) : (void)0)
#define log_info(msg, ...) log_write(LOG_INFO, msg, log_fields_(__VA_ARGS__))
#define log_warn(msg, ...) log_often(LOG_WARN, msg, log_fields_(__VA_ARGS__))
#define log_error(msg, ...) log_often(LOG_ERROR, msg, log_fields_(__VA_ARGS__))
#endif
