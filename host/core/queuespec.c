/* SPDX-License-Identifier: MIT */
#include "core/queuespec.h"
#include <stdlib.h>
#include <string.h>

/* NATS names take no dots: "test.a." and "jobs" give "test_a_jobs". */
char *queuespec_stream(const struct config *cfg, const struct gen_queue *g) {
    if (g->stream)
        return xstrdup(g->stream);
    char *s = xasprintf("%s%s", cfg->subject_prefix, g->name);
    for (char *p = s; *p; p++)
        if (*p == '.')
            *p = '_';
    return s;
}

void queuespec_fill(struct stream_spec *out, const struct config *cfg, const struct gen_queue *g) {
    *out = (struct stream_spec){
        .stream = queuespec_stream(cfg, g),
        .consumer = xstrdup(g->consumer ? g->consumer : g->name),
        .subjects = xasprintf("%s%s.>", cfg->subject_prefix, g->subject),
        .description = xasprintf("rbf namespace %s", cfg->namespace_),
        .ack_wait_ms = g->ack_wait_ms,
        .max_ack_pending = QUEUESPEC_MAX_ACK_PENDING,
        .replicas = g->replicas > 0 ? g->replicas : 1,
    };
}

void queuespec_free(struct stream_spec *s) {
    free((char *)s->stream);
    free((char *)s->consumer);
    free((char *)s->subjects);
    free((char *)s->description);
}
