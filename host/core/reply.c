/* SPDX-License-Identifier: MIT */
#include "core/reply.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "wire/subject.h"
#include <stdio.h>

bool reply_allowed(const struct host *h, const char *subject) {
    return subject_reply_allowed(subject, bus_inbox(h->bus)) ||
           subject_reply_prefixed(subject, h->cfg->reply_prefixes);
}

void reply_send(struct host *h, const struct reply *r, const char *body, size_t len) {
    if (FAILPOINT("reply.before"))
        return;
    struct hdrs hdrs = {0};
    char code[12];
    struct err err;
    snprintf(code, sizeof code, "%d", r->status);
    hdrs_add(&hdrs, "Status-Code", code);
    hdrs_add(&hdrs, "Request-Id", r->id);
    hdrs_add(&hdrs, "RBF-Request-Id", r->id);
    hdrs_add(&hdrs, "RBF-Code-Version", r->version);
    if (bus_publish(h->bus, r->to, NULL, &hdrs, body, len, &err) && err.kind != ERR_BUS_DOWN)
        log_error("reply not sent", LOG_S("request_id", r->id), LOG_S("error", err.msg));
    hdrs_free(&hdrs);
}

void reply_error(struct host *h, const struct reply *r, const char *code, const char *message,
                 const char *issues) {
    struct buf body = {0};
    envelope_error_body(&body, code ? code : envelope_code_of(r->status), message, issues);
    reply_send(h, r, body.p, body.len);
    buf_free(&body);
}
