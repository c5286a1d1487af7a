/* SPDX-License-Identifier: MIT */
/* ask - what a handler may wait for besides SQL: each kind of question (host.ask in lua/rbf) is one
 * struct in a file of its own, listed in ask.c. Loop thread only. One question at a time a run. */
#ifndef RBF_ASK_H
#define RBF_ASK_H
#include "core/run.h"

struct ask {
    const char *name;
    /* Begins. Must answer once, by run_answer, from inside or later; args are gone then. What it
     * needs to remember goes into r->asked. */
    void (*start)(struct run *r, const struct call_value *args, int n);
    /* The run ends before the answer: forget it. */
    void (*cancel)(struct run *r);
};

extern const struct ask ask_sleep, ask_namespace, ask_http;
extern const struct ask ask_cache_get, ask_cache_set, ask_cache_invalidate;
extern const struct ask ask_client_send, ask_client_wait, ask_client_cancel;
extern const struct ask ask_test_connect, ask_test_run; /* of rbf test */
extern const struct ask ask_test_clock, ask_test_client, ask_test_crons;

/* NULL when there is no such question. */
const struct ask *ask_find(const char *name);

/* Values for run_answer. */
struct call_value ask_flag(bool flag);
struct call_value ask_number(double number);
struct call_value ask_text(const char *p, size_t len); /* borrowed; NULL: nil */
/* Answers false and the message. */
void ask_refuse(struct run *r, const char *message);
#endif
