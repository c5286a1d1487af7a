/* SPDX-License-Identifier: MIT */
/* envelope - what a message's headers say (DESIGN 3, "Wire contract"), and the headers and error
 * bodies that go back. Pure functions, any thread. */
#ifndef RBF_ENVELOPE_H
#define RBF_ENVELOPE_H
#include "base/buf.h"
#include <stdbool.h>
#include <stdint.h>

/* Headers as name/value pairs in the order they came; names compare without case. */
struct hdr {
    char *name, *value; /* one block, name's */
};
struct hdrs {
    struct hdr *v;
    size_t n, cap;
};
void hdrs_add(struct hdrs *h, const char *name, const char *value); /* copies */
void hdrs_set(struct hdrs *h, const char *name, const char *value); /* replaces all of that name */
void hdrs_drop(struct hdrs *h, const char *name);
const char *hdrs_get(const struct hdrs *h, const char *name); /* first; NULL when absent */
void hdrs_free(struct hdrs *h);
/* Adds those of a message's header block as it is on the wire ("NATS/1.0 …\r\n", a line each, an
 * empty one); a status in the first line becomes Status and Description. What is no header is
 * passed over, a continued line is one. */
void hdrs_parse(struct hdrs *h, const char *block, size_t n);
/* As a JSON object {"Name":"value"}; the last value of a repeated name wins. */
void hdrs_to_json(const struct hdrs *h, struct buf *out);
int hdrs_from_json(struct hdrs *h, const char *text, size_t n, struct err *err);
/* Name of token characters, value printable UTF-8 without CR, LF and other controls? */
bool hdrs_valid(const char *name, const char *value);

#define ENVELOPE_ID_MAX 200
struct envelope {
    char id[ENVELOPE_ID_MAX + 1]; /* the request id, always set */
    bool id_fallback;             /* made from stream, sequence and time */
    int attempt;                  /* RBF-Attempt, from 1; 1 when absent or nonsense */
    int64_t target_at;            /* Target-At, ms epoch; 0 when absent */
    int64_t expires_at;           /* Expires-At, ms epoch; 0 when absent */
    const char *reply_to;         /* borrowed from the headers; NULL when absent or empty */
    const char *traceparent;      /* likewise */
};
/* Request id: RBF-Request-Id, else Request-Id, else "Nats-Msg-Id->X" from Nats-Msg-Id: X, else
 * "<stream>:<sequence>:<timestamp ns>".
 * 0; or -1 with err (ERR_INVALID) when the id is not 1 to 200 bytes of printable UTF-8 or Target-At
 * or Expires-At is no ms epoch: then out is filled all the same, under the fallback id if it is the
 * id that was refused. */
int envelope_parse(const struct hdrs *h, const char *stream, uint64_t seq, uint64_t ts_ns,
                   struct envelope *out, struct err *err);
/* Absent, or application/json with any parameters, in any case. */
bool envelope_content_type_ok(const struct hdrs *h);

/* A JetStream ack subject: "$JS.ACK.<stream>.<consumer>.<delivered>.<stream seq>.<consumer
 * seq>.<ns>
 * .<pending>", also in its newer form with domain and account hash behind $JS.ACK. */
struct ack_subject {
    char stream[128], consumer[128];
    uint64_t delivered, stream_seq, consumer_seq, ts_ns, pending;
};
int ack_subject_parse(const char *reply, struct ack_subject *out); /* -1 when it is none */

/* Appends {"code":…,"message":…,"issues":…}; issues is JSON text or NULL. Invalid UTF-8 in message
 * is replaced. */
void envelope_error_body(struct buf *out, const char *code, const char *message,
                         const char *issues);
/* BAD_REQUEST for 400, NOT_FOUND for 404 …, INTERNAL_SERVER_ERROR for others. */
const char *envelope_code_of(int status);
#endif
