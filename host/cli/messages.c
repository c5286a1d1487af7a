/* SPDX-License-Identifier: MIT */
/* messages - what waits in a queue's stream, read from outside: nothing is delivered by it. */
#include "base/jsonval.h"
#include "cli/site.h"
#include "wire/envelope.h"
#include <glib.h>
#include <stdlib.h>
#include <string.h>

#define NO_MESSAGE 10037 /* STREAM.MSG.GET: there is none from there on */

json_t *site_payload(const char *bytes, size_t n) {
    json_t *v = jsonval_read(bytes, n, NULL);
    if (v)
        return v;
    if (jsonval_is_utf8(bytes, n))
        return json_stringn(bytes, n);
    char *text = g_base64_encode((const unsigned char *)bytes, n);
    v = json_pack("{s:s}", "base64", text);
    g_free(text);
    return v;
}

static char *decode(const json_t *message, const char *key, size_t *n) {
    const char *text = site_text(message, key);
    *n = 0;
    if (!*text)
        return xstrdup("");
    unsigned char *bytes = g_base64_decode(text, n);
    char *copy = xmemdup(bytes, *n);
    g_free(bytes);
    return copy;
}

/* "NATS/1.0\r\nName: value\r\n…\r\n" */
static void read_headers(const json_t *message, struct hdrs *out) {
    size_t n;
    char *save = NULL, *text = decode(message, "hdrs", &n);
    char *line = strtok_r(text, "\r\n", &save);
    while (line && (line = strtok_r(NULL, "\r\n", &save))) {
        char *colon = strchr(line, ':');
        if (!colon)
            continue;
        *colon = 0;
        hdrs_add(out, line, colon + 1 + strspn(colon + 1, " "));
    }
    free(text);
}

static json_t *headers_json(const struct hdrs *h) {
    struct buf text = {0};
    hdrs_to_json(h, &text);
    json_t *v = jsonval_read(text.p, text.len, NULL);
    buf_free(&text);
    return v ? v : json_object();
}

static json_t *message_row(const json_t *message, const char *stream, json_int_t delivered) {
    struct hdrs h = {0};
    struct envelope env;
    size_t n;
    char *bytes = decode(message, "data", &n);
    json_int_t seq = json_integer_value(json_object_get(message, "seq"));
    int64_t ns = jsapi_time_ns(json_object_get(message, "time"));
    read_headers(message, &h);
    (void)!envelope_parse(&h, stream, (uint64_t)seq, (uint64_t)ns, &env, NULL);
    json_t *row =
        json_pack("{s:I, s:s, s:s, s:i, s:I, s:b, s:o, s:o}", "sequence", seq, "requestId", env.id,
                  "subject", site_text(message, "subject"), "attempt", env.attempt, "storedAt",
                  (json_int_t)(ns / 1000000), "inFlight", seq <= delivered, "headers",
                  headers_json(&h), "payload", site_payload(bytes, n));
    hdrs_free(&h);
    free(bytes);
    return row;
}

static json_int_t number_in(const json_t *info, const char *part, const char *key) {
    return json_integer_value(json_object_get(json_object_get(info, part), key));
}

/* What is stored is not acked, in a work queue: acked messages leave it. (A server that was killed
 * may bring some back: a consumer whose state is in a file counts them below its ack floor, any
 * other is given them.) consumer: NULL when there is none, since the server started or it was
 * deleted. */
static int collect(struct site *s, const json_t *queue, const json_t *consumer, int limit,
                   json_t *rows, bool *more, struct err *err) {
    const char *stream = site_text(queue, "stream");
    const json_t *config = json_object_get(consumer, "config");
    const char *filter = site_text(config, "filter_subject");
    bool whole = !consumer || json_is_true(json_object_get(config, "mem_storage"));
    json_int_t seq = whole ? 1 : number_in(consumer, "ack_floor", "stream_seq") + 1;
    json_int_t delivered = number_in(consumer, "delivered", "stream_seq");
    for (int code;;) {
        json_t *body = json_pack("{s:I, s:s}", "seq", seq, "next_by_subj", *filter ? filter : ">");
        json_t *answer = js_call(s->js, "STREAM.MSG.GET", stream, NULL, body, &code, err);
        if (!answer)
            return code == NO_MESSAGE || code == JSAPI_NO_STREAM ? 0 : -1;
        const json_t *message = json_object_get(answer, "message");
        *more = (int)json_array_size(rows) == limit;
        if (!*more)
            json_array_append_new(rows, message_row(message, stream, delivered));
        seq = json_integer_value(json_object_get(message, "seq")) + 1;
        json_decref(answer);
        if (*more)
            return 0;
    }
}

json_t *site_messages(struct site *s, const json_t *queue, int limit, bool *more, struct err *err) {
    int code;
    json_t *rows = json_array();
    *more = false;
    json_t *consumer = js_call(s->js, "CONSUMER.INFO", site_text(queue, "stream"),
                               site_text(queue, "consumer"), NULL, &code, err);
    bool none = !consumer && (code == JSAPI_NO_CONSUMER || code == JSAPI_NO_STREAM);
    int rc = consumer || none ? collect(s, queue, consumer, limit, rows, more, err) : -1;
    json_decref(consumer);
    if (rc == 0)
        return rows;
    json_decref(rows);
    return NULL;
}
