/* SPDX-License-Identifier: MIT */
#include "wire/envelope.h"
#include "base/jsonval.h"
#include "base/utf8.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* Larger numbers are no doubles exactly, and no time anybody means. */
#define MAX_TIME_MS ((uint64_t)1 << 53)
#define MAX_ATTEMPT 1000000

/* Decimal digits only, no sign, no space; -1 when it is none or exceeds max. */
static int read_number(const char *s, size_t n, uint64_t max, uint64_t *out) {
    uint64_t v = 0;
    if (n == 0 || n > 20)
        return -1;
    for (size_t i = 0; i < n; i++) {
        unsigned digit = (unsigned)(s[i] - '0');
        if (digit > 9 || v > (UINT64_MAX - digit) / 10)
            return -1;
        v = v * 10 + digit;
    }
    *out = v;
    return v > max ? -1 : 0;
}

static int set_id(struct envelope *out, const char *prefix, const char *id, const char *header,
                  struct err *err) {
    size_t n = strlen(id);
    if (n == 0 || strlen(prefix) + n > ENVELOPE_ID_MAX || !utf8_printable(id, n))
        return err_set(err, ERR_INVALID, "%s must be 1 to %zu bytes of printable UTF-8", header,
                       ENVELOPE_ID_MAX - strlen(prefix));
    strcpy(stpcpy(out->id, prefix), id);
    return 0;
}

static void set_fallback_id(struct envelope *out, const char *stream, uint64_t seq,
                            uint64_t ts_ns) {
    snprintf(out->id, sizeof out->id, "%.130s:%" PRIu64 ":%" PRIu64, stream, seq, ts_ns);
    out->id_fallback = true;
}

static int read_id(const struct hdrs *h, struct envelope *out, struct err *err) {
    static const struct {
        const char *header, *prefix;
    } sources[] = {{"RBF-Request-Id", ""}, {"Request-Id", ""}, {"Nats-Msg-Id", "Nats-Msg-Id->"}};
    for (size_t i = 0; i < sizeof sources / sizeof *sources; i++) {
        const char *id = hdrs_get(h, sources[i].header);
        if (id)
            return set_id(out, sources[i].prefix, id, sources[i].header, err);
    }
    return 0;
}

static int read_time(const struct hdrs *h, const char *name, int64_t *out, struct err *err) {
    const char *text = hdrs_get(h, name);
    uint64_t ms = 0;
    if (text && (read_number(text, strlen(text), MAX_TIME_MS, &ms) || ms == 0))
        return err_set(err, ERR_INVALID,
                       "%s must be a time in milliseconds since 1970, like "
                       "1767225600000",
                       name);
    *out = (int64_t)ms;
    return 0;
}

static int read_attempt(const struct hdrs *h) {
    const char *text = hdrs_get(h, "RBF-Attempt");
    uint64_t n = 0;
    if (!text || read_number(text, strlen(text), MAX_ATTEMPT, &n) || n == 0)
        return 1;
    return (int)n;
}

static const char *get_filled(const struct hdrs *h, const char *name) {
    const char *value = hdrs_get(h, name);
    return value && *value ? value : NULL;
}

int envelope_parse(const struct hdrs *h, const char *stream, uint64_t seq, uint64_t ts_ns,
                   struct envelope *out, struct err *err) {
    memset(out, 0, sizeof *out);
    out->attempt = read_attempt(h);
    out->reply_to = get_filled(h, "Reply-To");
    out->traceparent = get_filled(h, "traceparent");
    /* all three are read whatever comes first, for out is used after a failure too */
    struct err later = {0};
    int bad_expires = read_time(h, "Expires-At", &out->expires_at, &later);
    int bad_target = read_time(h, "Target-At", &out->target_at, &later);
    int bad_id = read_id(h, out, &later);
    if (!*out->id)
        set_fallback_id(out, stream, seq, ts_ns);
    if (!bad_expires && !bad_target && !bad_id)
        return 0;
    return err_set(err, ERR_INVALID, "%s", later.msg);
}

bool envelope_content_type_ok(const struct hdrs *h) {
    static const char json[] = "application/json";
    const char *type = hdrs_get(h, "Content-Type");
    if (!type)
        return true;
    type += strspn(type, " \t");
    if (strncasecmp(type, json, sizeof json - 1) != 0)
        return false;
    type += sizeof json - 1;
    type += strspn(type, " \t");
    return *type == 0 || *type == ';';
}

#define ACK_TOKENS 12 /* the newer form ends with a random token that some servers leave out */

struct token {
    const char *p;
    size_t n;
};

static size_t split(const char *s, struct token *t, size_t max) {
    size_t n = 0;
    while (n < max) {
        size_t len = strcspn(s, ".");
        t[n++] = (struct token){s, len};
        if (!s[len])
            return n;
        s += len + 1;
    }
    return max + 1;
}

static int copy_token(const struct token *t, char *out, size_t size) {
    if (t->n == 0 || t->n >= size)
        return -1;
    memcpy(out, t->p, t->n);
    out[t->n] = 0;
    return 0;
}

int ack_subject_parse(const char *reply, struct ack_subject *out) {
    static const char head[] = "$JS.ACK.";
    struct token t[ACK_TOKENS];
    if (strncmp(reply, head, sizeof head - 1) != 0)
        return -1;
    size_t n = split(reply, t, ACK_TOKENS);
    if (n != 9 && n != 11 && n != 12)
        return -1;
    const struct token *at = t + (n == 9 ? 2 : 4); /* behind domain and account hash */
    uint64_t *const numbers[] = {&out->delivered, &out->stream_seq, &out->consumer_seq, &out->ts_ns,
                                 &out->pending};
    if (copy_token(at, out->stream, sizeof out->stream) ||
        copy_token(at + 1, out->consumer, sizeof out->consumer))
        return -1;
    for (size_t i = 0; i < 5; i++)
        if (read_number(at[2 + i].p, at[2 + i].n, UINT64_MAX, numbers[i]))
            return -1;
    return 0;
}

static void put_member(struct buf *out, const char *key, const char *text) {
    struct buf clean = {0};
    utf8_clean(&clean, text, strlen(text));
    buf_printf(out, "\"%s\":", key);
    (void)jsonval_put_string(out, clean.p ? clean.p : "", clean.len, NULL);
    buf_free(&clean);
}

void envelope_error_body(struct buf *out, const char *code, const char *message,
                         const char *issues) {
    buf_putc(out, '{');
    put_member(out, "code", code);
    buf_putc(out, ',');
    put_member(out, "message", message);
    if (issues) {
        buf_puts(out, ",\"issues\":");
        buf_puts(out, issues);
    }
    buf_putc(out, '}');
}

const char *envelope_code_of(int status) {
    static const struct {
        int status;
        const char *code;
    } codes[] = {
        {400, "BAD_REQUEST"},
        {401, "UNAUTHORIZED"},
        {403, "FORBIDDEN"},
        {404, "NOT_FOUND"},
        {408, "TIMEOUT"},
        {409, "CONFLICT"},
        {410, "EXPIRED"},
        {413, "PAYLOAD_TOO_LARGE"},
        {415, "UNSUPPORTED_MEDIA_TYPE"},
        {422, "UNPROCESSABLE_CONTENT"},
        {425, "TOO_EARLY"},
        {429, "TOO_MANY_REQUESTS"},
        {499, "ABORTED"},
        {503, "OVERLOADED"},
    };
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        if (codes[i].status == status)
            return codes[i].code;
    return "INTERNAL_SERVER_ERROR";
}
