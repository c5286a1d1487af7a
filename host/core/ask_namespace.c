/* SPDX-License-Identifier: MIT */
/* ask_namespace - () → true, the namespace of this host: whose rows of the host's tables are ours.
 */
#include "core/ask.h"
#include <string.h>

static void start(struct run *r, const struct call_value *args, int n) {
    const char *name = r->h->cfg->namespace_;
    struct call_value v[] = {ask_flag(true), ask_text(name, strlen(name))};
    run_answer(r, v, 2);
}

static void cancel(struct run *r) {}

const struct ask ask_namespace = {"namespace", start, cancel};
