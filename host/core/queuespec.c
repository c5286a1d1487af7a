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

static bool is_shared(const char *stream, const struct config *cfg, const struct gen *g) {
    int n = 0;
    for (int i = 0; i < g->n_queues; i++) {
        char *of = queuespec_stream(cfg, &g->queues[i]);
        n += !strcmp(of, stream);
        free(of);
    }
    return n > 1;
}

void queuespec_fill(struct stream_spec *out, const struct config *cfg, const struct gen *g, int i) {
    const struct gen_queue *q = &g->queues[i];
    *out = (struct stream_spec){
        .stream = queuespec_stream(cfg, q),
        .consumer = xstrdup(q->consumer ? q->consumer : q->name),
        .subjects = xasprintf("%s%s.>", cfg->subject_prefix, q->subject),
        .description = xasprintf("rbf namespace %s", cfg->namespace_),
        .ack_wait_ms = q->ack_wait_ms,
        .max_ack_pending = QUEUESPEC_MAX_ACK_PENDING,
        .replicas = q->replicas > 0 ? q->replicas : 1,
    };
    out->shared = is_shared(out->stream, cfg, g);
}

void queuespec_free(struct stream_spec *s) {
    free((char *)s->stream);
    free((char *)s->consumer);
    free((char *)s->subjects);
    free((char *)s->description);
}
