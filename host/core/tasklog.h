/* SPDX-License-Identifier: MIT */
/* tasklog - what the log tells of a message: that it was taken (debug), and one line at each end it
 * comes to (done, parked for another attempt, dead …), all with its request id, so that its life
 * can be followed through workers. Ends that went well are sampled (--log-sample), by the request
 * id: of one request all lines are there, or none. Loop thread only. */
#ifndef RBF_TASKLOG_H
#define RBF_TASKLOG_H
#include "base/log.h"
#include "core/task.h"

/* Where a message ended; what it is NULL, it is left out. */
struct tasklog_end {
    enum log_level level;
    const char *msg;
    const char *outcome; /* done, duplicate, delayed, retry, dead, failed, refused, expired … */
    int status;          /* 0: none */
    const char *code, *error, *traceback;
    int64_t retry_at; /* ms epoch; 0: never */
};

void tasklog_taken(const struct task *t);
/* Once for each task; what comes later of it is not told. */
void tasklog_end(struct task *t, const struct tasklog_end *e);
/* From task_end: tells what nobody has told yet. word: as there. */
void tasklog_ended(struct task *t, const char *word);
/* The tasks (struct task.member) have waited for this flight. */
void tasklog_flight(const struct list *members, const struct pgflight *f);
#endif
