/* SPDX-License-Identifier: MIT */
/* ask_sleep - rbf.sleep: (ms) → true. */
#include "core/after.h"
#include "core/ask.h"

static void on_awake(void *arg) {
    struct run *r = arg;
    struct call_value yes = ask_flag(true);
    r->asked = NULL;
    run_answer(r, &yes, 1);
}

static void start(struct run *r, const struct call_value *args, int n) {
    double ms = n > 0 && args[0].type == VALUE_NUMBER ? args[0].number : 0;
    r->asked = after_ms(r->h->loop, (uint64_t)ms, on_awake, r);
}

static void cancel(struct run *r) {
    struct after *timer = r->asked;
    after_cancel(&timer);
}

const struct ask ask_sleep = {"sleep", start, cancel};
