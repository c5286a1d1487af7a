/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "core/script.h"
#include "core/client.h"
#include "core/run.h"
#include "web/http.h"
#include <stdlib.h>
#include <string.h>

#define NO_TIMEOUT_MS (100 * 365 * UINT64_C(86400000))

struct script_run {
    struct host h;
    uv_loop_t loop;
    struct run run;
    struct buf *complaint;
    bool ended;
    int code;
};

void script_complain(struct buf *out, const struct failure *f) {
    buf_puts(out, f->internal);
    for (const char *p = f->traceback; p && *p;) {
        const char *end = strchrnul(p, '\n');
        buf_printf(out, "\n  %.*s", (int)(end - p), p);
        p = *end ? end + 1 : end;
    }
}

static void on_end(struct run *r, enum run_end end) {
    struct script_run *s = r->arg;
    s->ended = true;
    s->code = 1;
    if (end == RUN_DONE)
        s->code = atoi(r->call->result);
    else if (end == RUN_FAILED)
        script_complain(s->complaint, r->failure);
}

static void drive(struct script_run *s, const struct call_script *script) {
    struct call_request req = {.op = -1, .script = script};
    run_start(&s->run, &s->h, s->h.gen, &req, NULL, NULL, NO_TIMEOUT_MS, on_end, s);
    while (!s->ended)
        uv_run(&s->loop, UV_RUN_ONCE);
    run_close(&s->run);
}

int script_run(struct config *cfg, struct gen *g, const struct call_script *script,
               struct buf *complaint) {
    struct script_run s = {.h = {.cfg = cfg, .gen = g}, .complaint = complaint, .code = 1};
    struct err err;
    list_init(&s.h.tasks);
    list_init(&s.h.runs);
    uv_loop_init(&s.loop);
    s.h.loop = &s.loop;
    s.h.client = client_new(&s.loop, cfg, "rbf exec", &err);
    if (s.h.client)
        drive(&s, script);
    else
        buf_puts(complaint, err.msg);
    client_delete(s.h.client);
    http_delete(s.h.http);
    uv_run(&s.loop, UV_RUN_DEFAULT);
    uv_loop_close(&s.loop);
    return s.code;
}
