/* SPDX-License-Identifier: MIT */
#include "core/dead.h"
#include "base/failpoint.h"
#include "base/id.h"
#include "base/jsonval.h"
#include <ctype.h>
#include <inttypes.h>
#include <string.h>
#include <strings.h>

static void put_hex(struct buf *out, const char *p, size_t n) {
    static const char digits[] = "0123456789abcdef";
    buf_reserve(out, 2 * n + 3);
    buf_puts(out, "\\x");
    for (size_t i = 0; i < n; i++) {
        buf_putc(out, digits[(unsigned char)p[i] >> 4]);
        buf_putc(out, digits[p[i] & 15]);
    }
}

/* RBF-First-Seen comes from outside, too: ms epoch, or what this delivery says. */
static void put_first_seen(struct buf *out, const struct task *t) {
    const char *header = hdrs_get(&t->msg->hdrs, "RBF-First-Seen");
    size_t n = header ? strlen(header) : 0;
    if (n > 0 && n < 18 && strspn(header, "0123456789") == n)
        buf_puts(out, header);
    else
        buf_printf(out, "%" PRIu64, t->ack.ts_ns / 1000000);
}

static bool in_word(char c) {
    return isalnum((unsigned char)c) || c == '_' || c == '-' || (unsigned char)c >= 0x80;
}

/* The length of a quoted part at s: 0 for an apostrophe and a quote without its end. */
static size_t quoted(const char *s, const char *start) {
    bool opens = (*s == '"' || *s == '\'') && (s == start || !in_word(s[-1]));
    const char *end = opens ? strchr(s + 1, *s) : NULL;
    return end ? (size_t)(end - s) + 1 : 0;
}

static bool has_digit(const char *s, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (isdigit((unsigned char)s[i]))
            return true;
    return false;
}

/* Numbers, ids (words with digits) and quoted parts differ from one occurrence to the next; what is
 * left is the shape. */
static void put_shape(struct buf *out, const char *text) {
    for (const char *s = text; s && *s;) {
        size_t n = quoted(s, text);
        if (n) {
            buf_puts(out, "''");
        } else if (in_word(*s)) {
            while (in_word(s[n]))
                n++;
            if (has_digit(s, n))
                buf_putc(out, '#');
            else
                buf_put(out, s, n);
        } else {
            n = 1;
            buf_putc(out, *s);
        }
        s += n;
    }
}

/* The first frame of the user's own code. */
static void put_top_frame(struct buf *out, const char *traceback) {
    const char *frame = traceback ? strstr(traceback, ".lua:") : NULL;
    if (!frame)
        return;
    while (frame > traceback && frame[-1] != '\n' && frame[-1] != '\t')
        frame--;
    buf_put(out, frame, strcspn(frame, "\n"));
}

static void fingerprint(const struct death *d, char out[13]) {
    struct buf b = {0};
    buf_puts(&b, d->code ? d->code : "");
    buf_putc(&b, '\n');
    put_shape(&b, d->internal ? d->internal : d->message);
    buf_putc(&b, '\n');
    put_top_frame(&b, d->traceback);
    id_hash12(b.p, b.len, out);
    buf_free(&b);
}

/* names: "authorization,cookie". */
static bool named(const char *names, const char *name) {
    size_t n = strlen(name);
    for (const char *p = names; *p; p += strcspn(p, ",") + (p[strcspn(p, ",")] == ','))
        if (strcspn(p, ",") == n && !strncasecmp(p, name, n))
            return true;
    return false;
}

/* Tables are read by more people than messages are. */
static void put_headers(struct buf *out, const struct task *t) {
    struct hdrs kept = {0};
    for (size_t i = 0; i < t->msg->hdrs.n; i++) {
        const struct hdr *h = &t->msg->hdrs.v[i];
        bool secret = named(t->h->cfg->redact_headers, h->name);
        hdrs_add(&kept, h->name, secret ? DEAD_REDACTED : h->value);
    }
    hdrs_to_json(&kept, out);
    hdrs_free(&kept);
}

/* Core publish: who listens hears it, and the letter itself is in the table. */
void dead_tell(const struct task *t, const struct death *d) {
    const char *subject = t->h->cfg->dead_subject;
    struct buf body = {0};
    if (!subject)
        return;
    buf_puts(&body, "{\"subject\":");
    (void)!jsonval_put_string(&body, t->path, strlen(t->path), NULL);
    buf_puts(&body, ",\"requestId\":");
    (void)!jsonval_put_string(&body, t->env.id, strlen(t->env.id), NULL);
    buf_puts(&body, ",\"error\":");
    envelope_error_body(&body, d->code, d->message, NULL);
    buf_printf(&body, ",\"attempts\":%d}", t->env.attempt);
    (void)!bus_publish(t->h->bus, subject, NULL, NULL, body.p, body.len, NULL);
    buf_free(&body);
}

void dead_add(struct pgconn *c, const struct task *t, const struct death *d) {
    struct buf name = {0}, headers = {0}, payload = {0}, seen = {0};
    char id[ID_TEXT], print[13], attempts[12];
    (void)FAILPOINT("dead.before_write");
    task_message_name(t, &name);
    id_v5(name.p, name.len, id);
    fingerprint(d, print);
    put_headers(&headers, t);
    put_hex(&payload, t->msg->data, t->msg->len);
    put_first_seen(&seen, t);
    snprintf(attempts, sizeof attempts, "%d", t->env.attempt);
    pgconn_add(c,
               "INSERT INTO rbf_dead_letters (namespace, id, queue, subject, request_id, headers,"
               " payload, error_code, error_message, error_traceback, fingerprint, attempts,"
               " first_seen_at, code_version)"
               " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)"
               " ON CONFLICT (namespace, id) DO UPDATE SET replayed_at = NULL,"
               " died_at = EXCLUDED.died_at WHERE $15::boolean",
               15,
               (const char *const[]){t->h->cfg->namespace_, id, queue_name(t->q), t->path,
                                     t->env.id, d->bare ? NULL : headers.p,
                                     d->bare ? NULL : payload.p, d->code,
                                     d->internal ? d->internal : d->message, d->traceback, print,
                                     attempts, seen.p, t->gen->version, d->anew ? "true" : "false"},
               0);
    buf_free(&name);
    buf_free(&headers);
    buf_free(&payload);
    buf_free(&seen);
}
