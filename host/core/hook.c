/* SPDX-License-Identifier: MIT */
#include "core/hook.h"
#include "base/buf.h"
#include "base/log.h"
#include "core/run.h"
#include <stdlib.h>

struct hook {
    struct task *t;
    struct call *failed;
    struct failure failure; /* of it */
    struct call_request req;
    struct run run;
    void (*cb)(const struct failure *f, void *arg);
    void *arg;
};

/* Only what a caller never sees is worth a line when a hook puts something else in its place. */
static bool is_ours(const struct failure *f) {
    return f->kind == FAIL_ERROR || f->kind == FAIL_OUTPUT || f->kind == FAIL_SQL;
}

/* The new error in place of the old one, which stays in logs and dead letters. An input that is
 * refused, or a refusal by middleware, is not stored as an outcome: neither is what it becomes. */
static void replace(struct hook *k, const struct failure *made) {
    const struct failure *old = &k->failure;
    struct failure f = *made;
    char *both = NULL;
    f.in_middleware = old->in_middleware || old->kind == FAIL_INPUT;
    f.traceback = old->traceback;
    if (is_ours(old)) {
        both = xasprintf("%s (onError made it of: %s)", made->internal, old->internal);
        f.internal = both;
        log_warn("onError mapped an error", LOG_S("subject", k->t->path),
                 LOG_S("request_id", k->t->env.id), LOG_I("status", f.status),
                 LOG_S("code", f.code), LOG_S("error", old->internal),
                 LOG_S("traceback", old->traceback));
    }
    if (f.retry_after_ms < 0)
        f.retry_after_ms = old->retry_after_ms;
    k->cb(&f, k->arg);
    free(both);
}

static void on_ran(struct run *r, enum run_end end) {
    struct hook *k = r->arg;
    const struct failure *made = end == RUN_FAILED ? r->failure : NULL;
    if (made && (made->kind == FAIL_PERMANENT || made->kind == FAIL_RETRY)) {
        replace(k, made);
    } else {
        if (end != RUN_DONE) /* it took too long, or ran out of memory */
            log_error("onError failed; the error stays as it was", LOG_S("subject", k->t->path),
                      LOG_S("request_id", k->t->env.id),
                      LOG_S("error", made ? made->internal : NULL));
        k->cb(&k->failure, k->arg);
    }
    run_close(r);
    call_delete(k->failed);
    failure_free(&k->failure);
    free(k);
}

void hook_run(struct task *t, struct call *failed, const struct failure *f,
              void (*cb)(const struct failure *f, void *arg), void *arg) {
    struct hook *k = xcalloc(1, sizeof *k);
    k->t = t;
    k->failed = failed;
    k->cb = cb;
    k->arg = arg;
    failure_copy(&k->failure, f);
    k->req = t->req;
    k->req.failure = &k->failure;
    k->req.failed = failed;
    run_start(&k->run, t->h, t->gen, &k->req, NULL, NULL, (uint64_t)task_op(t)->timeout_ms, on_ran,
              k);
}
