/* SPDX-License-Identifier: MIT */
#include "core/dead.h"
#include "base/id.h"
#include <ctype.h>
#include <inttypes.h>
#include <string.h>

static void put_hex(struct buf *out, const char *p, size_t n) {
    buf_puts(out, "\\x");
    for (size_t i = 0; i < n; i++)
        buf_printf(out, "%02x", (unsigned char)p[i]);
}

/* Numbers and quoted parts differ from one occurrence to the next; what is left is the shape. */
static void put_shape(struct buf *out, const char *s) {
    for (; s && *s; s++) {
        if (!isdigit((unsigned char)*s))
            buf_putc(out, *s);
        else if (!out->len || out->p[out->len - 1] != '#')
            buf_putc(out, '#');
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

void dead_add(struct pgconn *c, const struct task *t, const struct death *d) {
    struct buf name = {0}, headers = {0}, payload = {0};
    char id[ID_TEXT], print[13], attempts[12], seen[24];
    const char *first_seen = hdrs_get(&t->msg->hdrs, "RBF-First-Seen");
    task_message_name(t, &name);
    id_v5(name.p, name.len, id);
    fingerprint(d, print);
    hdrs_to_json(&t->msg->hdrs, &headers);
    put_hex(&payload, t->msg->data, t->msg->len);
    snprintf(attempts, sizeof attempts, "%d", t->env.attempt);
    snprintf(seen, sizeof seen, "%" PRIu64, t->ack.ts_ns / 1000000);
    if (first_seen && strspn(first_seen, "0123456789") == strlen(first_seen) &&
        strlen(first_seen) < sizeof seen)
        strcpy(seen, first_seen);
    pgconn_add(c,
               "INSERT INTO rbf_dead_letters (namespace, id, queue, subject, request_id, headers,"
               " payload, error_code, error_message, error_traceback, fingerprint, attempts,"
               " first_seen_at, code_version)"
               " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)"
               " ON CONFLICT (namespace, id) DO NOTHING",
               14,
               (const char *const[]){t->h->cfg->namespace_, id, queue_name(t->q), t->msg->subject,
                                     t->env.id, headers.p, payload.p, d->code,
                                     d->internal ? d->internal : d->message, d->traceback, print,
                                     attempts, seen, t->gen->version},
               0);
    buf_free(&name);
    buf_free(&headers);
    buf_free(&payload);
}
