/* SPDX-License-Identifier: MIT */
/* vmtest - apps made of strings, loaded and called without a host. Statements go to `pg` when it is
 * set (a plain blocking connection), else they fail with SQLSTATE 58000. */
#ifndef RBF_VMTEST_H
#define RBF_VMTEST_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* before cmocka, which wants the four above */
#include "base/clock.h"
#include "base/id.h"
#include "base/jsonval.h"
#include "pg/pgres.h"
#include "vm/call.h"
#include "vm/vm.h"
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#define LUA_DIR RBF_SHARE "/lua"
#define ROOT "/srv/app"

static PGconn *pg;

static inline int vmtest_by_path(const void *a, const void *b) {
    return strcmp(((const struct tree_file *)a)->path, ((const struct tree_file *)b)->path);
}

/* path, text, …, NULL */
static inline struct tree *vmtest_tree(const char *path, ...) {
    struct tree *t = xcalloc(1, sizeof *t);
    va_list ap;
    t->root = xstrdup(ROOT);
    snprintf(t->version, sizeof t->version, "0123456789ab");
    t->files = xcalloc(16, sizeof *t->files);
    va_start(ap, path);
    for (; path; path = va_arg(ap, const char *)) {
        struct tree_file *f = &t->files[t->n++];
        f->path = xstrdup(path);
        f->bytes = xstrdup(va_arg(ap, const char *));
        f->len = strlen(f->bytes);
    }
    va_end(ap);
    qsort(t->files, t->n, sizeof *t->files, vmtest_by_path);
    return t;
}

/* Takes t. The error's text, or "" when it loaded. */
static inline const char *vmtest_refused(struct tree *t) {
    static struct err err;
    err_clear(&err);
    struct gen *g = gen_load(t, LUA_DIR, 1, &err);
    gen_unref(g);
    tree_delete(t);
    return g ? "" : err.msg;
}

/* Takes t. */
static inline struct gen *vmtest_load(struct tree *t) {
    struct err err = {0};
    struct gen *g = gen_load(t, LUA_DIR, 1, &err);
    if (!g)
        fail_msg("%s", err.msg);
    tree_delete(t);
    return g;
}

/* An app of one file: body stands behind a prologue that defines rbf, z and base. */
static inline struct gen *vmtest_app(const char *body) {
    char *text = xasprintf("local rbf = require 'rbf'; local z = rbf.z; local base = "
                           "rbf.defineBackend { queues = { jobs = {} }, context = { n = 1 } } %s",
                           body);
    struct gen *g = vmtest_load(vmtest_tree("app.lua", text, NULL));
    free(text);
    return g;
}

/* The same, with one mutation jobs.op that takes any input; body is its handler's. */
static inline struct gen *vmtest_handler(const char *body) {
    char *text = xasprintf("base:mutation('jobs', { path = 'op', input = z.any(), handler = "
                           "function(r) %s end })",
                           body);
    struct gen *g = vmtest_app(text);
    free(text);
    return g;
}

/* One call, driven to its end. */
struct vmtest {
    struct call_request req;
    struct subject_params params;
    struct hdrs hdrs;
    struct call *call;
    enum call_event event;
    json_t *input;
    int statements;
};

static inline void vmtest_begin(struct vmtest *t, struct gen *g, const char *subject,
                                const char *input) {
    struct err err;
    t->req.op = router_match(g->router, subject, &t->params);
    if (t->req.op < 0)
        fail_msg("no operation %s", subject);
    t->input = jsonval_read(input ? input : "", input ? strlen(input) : 0, &err);
    assert_non_null(t->input);
    t->req.subject = subject;
    t->req.request_id = "req-1";
    t->req.hdrs = &t->hdrs;
    t->req.params = &t->params;
    t->req.input = t->input;
    t->req.attempt = t->req.attempt ? t->req.attempt : 1;
    t->req.timestamp = 1700000000000;
    t->call = call_new(g, &t->req);
    t->event = call_start(t->call);
}

static inline void vmtest_describe(struct vmtest *t) {
    struct pgres r = {0};
    unsigned oids[100];
    PGresult *prepared = PQprepare(pg, "", t->call->sql, 0, NULL);
    bool ok = PQresultStatus(prepared) == PGRES_COMMAND_OK;
    pgres_set(&r, ok ? PQdescribePrepared(pg, "") : prepared);
    for (int i = 0; i < pgres_params(&r) && i < 100; i++)
        oids[i] = pgres_param_oid(&r, i);
    t->event = ok ? call_resume_types(t->call, oids, pgres_params(&r))
                  : call_resume_error(t->call, pgres_err(&r));
    if (ok)
        PQclear(prepared);
    pgres_free(&r);
}

/* Answers one event that waits. */
static inline void vmtest_answer(struct vmtest *t) {
    struct call *c = t->call;
    struct err err = {.kind = ERR_PG, .sqlstate = "58000", .msg = "no server in this test"};
    if (t->event == CALL_ASK) {
        struct call_value yes = {.type = VALUE_BOOL, .flag = true};
        t->event = call_resume_values(c, &yes, 1);
        return;
    }
    t->statements += t->event == CALL_SQL;
    if (!pg) {
        t->event = call_resume_error(c, &err);
        return;
    }
    struct pgres r = {0};
    if (t->event == CALL_TYPES) {
        vmtest_describe(t);
        return;
    }
    pgres_set(&r, PQexecParams(pg, c->sql, c->n_params, NULL, c->params, NULL, NULL, 0));
    t->event = call_resume_result(c, &r);
    pgres_free(&r);
}

static inline void vmtest_run(struct vmtest *t, struct gen *g, const char *subject,
                              const char *input) {
    vmtest_begin(t, g, subject, input);
    while (t->event == CALL_SQL || t->event == CALL_TYPES || t->event == CALL_ASK)
        vmtest_answer(t);
}

static inline void vmtest_end(struct vmtest *t) {
    call_delete(t->call);
    subject_params_free(&t->params);
    hdrs_free(&t->hdrs);
    json_decref(t->input);
    *t = (struct vmtest){0};
}

/* Runs jobs.op with input and expects this result. */
static inline void vmtest_expect(struct gen *g, const char *input, const char *result) {
    struct vmtest t = {0};
    vmtest_run(&t, g, "jobs.op", input);
    if (t.event != CALL_DONE)
        fail_msg("failed: %s", t.call->failure.internal);
    assert_string_equal(t.call->result, result);
    vmtest_end(&t);
}

/* A handler's body, once, without input. Drops the generation, which checks its references. */
static inline void vmtest_gives(const char *body, const char *result) {
    struct gen *g = vmtest_handler(body);
    vmtest_expect(g, NULL, result);
    assert_int_equal(g->vm->refs, 3); /* run, on_error and classify */
    gen_unref(g);
}

/* The handler fails, and the internal message has this in it. */
static inline void vmtest_fails(const char *body, enum failure_kind kind, const char *part) {
    struct vmtest t = {0};
    struct gen *g = vmtest_handler(body);
    vmtest_run(&t, g, "jobs.op", NULL);
    assert_int_equal(t.event, CALL_FAILED);
    if (!strstr(t.call->failure.internal, part))
        fail_msg("\"%s\" is not in \"%s\"", part, t.call->failure.internal);
    assert_int_equal(t.call->failure.kind, kind);
    vmtest_end(&t);
    gen_unref(g);
}
#endif
