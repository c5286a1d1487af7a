/* SPDX-License-Identifier: MIT */
#include "core/tasklog.h"
#include "base/clock.h"
#include <stdlib.h>
#include <string.h>

#define NS_PER_MS 1e6
#define ROUND_TO 1000 /* of a ms: no more digits than are meant */

static double ms_of(uint64_t ns) {
    return (double)(int64_t)((double)ns / NS_PER_MS * ROUND_TO + 0.5) / ROUND_TO;
}

/* "jobs.users.get.$id"; the subject where no operation takes it. The caller's. */
static char *operation_of(const struct task *t) {
    const struct gen_op *op = task_op(t);
    return op ? xasprintf("%s.%s", op->queue_name, op->path) : xstrdup(t->path);
}

/* Where the operation does not tell it already; else NULL, which leaves it out. */
static const char *other_subject(const struct task *t) {
    const struct gen_op *op = task_op(t);
    return op && !strchr(op->path, '$') ? NULL : t->path;
}

/* FNV-1a: every host of a namespace comes to the same. */
static bool in_sample(const struct task *t) {
    uint32_t hash = 2166136261u;
    int64_t n = t->h->cfg->log_sample;
    for (const char *p = t->env.id; *p; p++)
        hash = (hash ^ (unsigned char)*p) * 16777619u;
    return n > 0 && hash % (uint64_t)n == 0;
}

/* An id that had trouble is followed to its end. */
static bool is_told(const struct task *t, enum log_level level, bool went_well) {
    return log_enabled(level) && (!went_well || t->env.attempt > 1 || in_sample(t));
}

void tasklog_taken(const struct task *t) {
    if (!is_told(t, LOG_DEBUG, true))
        return;
    char *operation = operation_of(t);
    log_debug("taken", LOG_S("request_id", t->env.id), LOG_S("operation", operation),
              LOG_S("subject", other_subject(t)), LOG_I("attempt", t->env.attempt),
              LOG_I("delivery", t->ack.delivered), LOG_I("sequence", t->ack.stream_seq));
    free(operation);
}

static struct log_field number_or_none(const char *key, int64_t n) {
    return n ? LOG_I(key, n) : LOG_S(key, NULL);
}

void tasklog_end(struct task *t, const struct tasklog_end *e) {
    bool well = !strcmp(e->outcome, "done") || !strcmp(e->outcome, "duplicate") ||
                !strcmp(e->outcome, "delayed");
    bool told = t->told || !is_told(t, e->level, well);
    t->told = true;
    if (told)
        return;
    char *operation = operation_of(t);
    void (*tell)(enum log_level, const char *, const struct log_field *) =
        e->level >= LOG_WARN ? log_often : log_write;
    tell(e->level, e->msg,
         log_fields_(LOG_S("request_id", t->env.id), LOG_S("operation", operation),
                     LOG_S("subject", other_subject(t)), LOG_I("attempt", t->env.attempt),
                     LOG_S("outcome", e->outcome), number_or_none("status", e->status),
                     LOG_F("duration_ms", ms_of(clock_mono_ns() - t->taken_ns)),
                     LOG_F("db_ms", ms_of(t->db_ns)), LOG_I("generation", t->gen->number),
                     LOG_S("version", t->gen->version), number_or_none("conflicts", t->conflicts),
                     number_or_none("retry_at", e->retry_at), LOG_S("code", e->code),
                     LOG_S("error", e->error && *e->error ? e->error : NULL),
                     LOG_S("traceback", e->traceback)));
    free(operation);
}

void tasklog_ended(struct task *t, const char *word) {
    struct tasklog_end e = {.level = LOG_INFO, .status = t->status};
    e.outcome = t->outcome ? t->outcome : "done";
    if (!word || word[0] == '-') { /* it comes again */
        e.level = LOG_DEBUG;
        e.outcome = "returned";
    } else if (!t->outcome) {
        e.status = 200;
    }
    e.msg = e.outcome;
    tasklog_end(t, &e);
}

void tasklog_flight(const struct list *members, const struct pgflight *f) {
    list_each(members, it) container_of(it, struct task, member)->db_ns += f->took_ns;
}
