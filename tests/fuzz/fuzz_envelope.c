/* SPDX-License-Identifier: MIT */
/* Headers: lines "Name: value", the first line being an ack subject. */
#include "base/jsonval.h"
#include "fuzz.h"
#include "wire/envelope.h"

static void read_headers(struct hdrs *h, const uint8_t *data, size_t size) {
    while (size) {
        char *line = fuzz_line(&data, &size), *colon = strchr(line, ':');
        if (colon) {
            *colon = 0;
            hdrs_add(h, line, colon + 1 + (colon[1] == ' '));
        }
        free(line);
    }
}

/* An id is always there, and always one that may be shown and stored. */
static void envelope(const struct hdrs *h, const struct ack_subject *ack) {
    struct envelope e;
    struct err err = {0};
    int rc = envelope_parse(h, ack->stream, ack->stream_seq, ack->ts_ns, &e, &err);
    size_t n = strlen(e.id);
    HOLDS(n >= 1 && n <= ENVELOPE_ID_MAX);
    HOLDS(rc == 0 || err.kind == ERR_INVALID);
    HOLDS(rc != 0 || e.id_fallback || jsonval_is_utf8(e.id, n));
    for (size_t i = 0; i < n && !e.id_fallback; i++)
        HOLDS((unsigned char)e.id[i] >= 0x20 && e.id[i] != 0x7f);
    HOLDS(e.attempt >= 1);
    HOLDS(e.target_at >= 0 && e.expires_at >= 0);
    (void)envelope_content_type_ok(h);
}

/* What could be sent comes back from JSON as it was. */
static void round_trip(const struct hdrs *h) {
    struct buf text = {0};
    struct hdrs again = {0};
    bool clean = true;
    for (size_t i = 0; i < h->n; i++)
        clean = clean && hdrs_valid(h->v[i].name, h->v[i].value);
    hdrs_to_json(h, &text);
    int rc = hdrs_from_json(&again, text.p, text.len, NULL);
    HOLDS(!clean || rc == 0);
    for (size_t i = 0; clean && i < again.n; i++) {
        const char *last = NULL;
        for (size_t j = 0; j < h->n; j++)
            if (!strcasecmp(h->v[j].name, again.v[i].name))
                last = h->v[j].value;
        HOLDS(last != NULL);
    }
    hdrs_free(&again);
    buf_free(&text);
}

static void error_body(const uint8_t *data, size_t size) {
    struct buf out = {0};
    char *message = xmemdup(data, size);
    envelope_error_body(&out, "CODE", message, NULL);
    json_t *v = jsonval_read(out.p, out.len, NULL);
    HOLDS(v != NULL);
    json_decref(v);
    buf_free(&out);
    free(message);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct ack_subject ack;
    struct hdrs h = {0};
    error_body(data, size);
    char *first = fuzz_line(&data, &size);
    if (ack_subject_parse(first, &ack) != 0)
        ack = (struct ack_subject){.stream = "S", .stream_seq = 1, .ts_ns = 1};
    read_headers(&h, data, size);
    envelope(&h, &ack);
    round_trip(&h);
    hdrs_free(&h);
    free(first);
    return 0;
}
