/* SPDX-License-Identifier: MIT */
/* Paths, subjects and the router: lines of patterns, then lines of subjects behind an empty one. */
#include "base/jsonval.h"
#include "fuzz.h"
#include "wire/subject.h"

static const char *get(const char *name, void *arg) {
    const struct subject_params *p = arg;
    for (size_t i = 0; i < p->n; i++)
        if (!strcmp(p->v[i].name, name))
            return p->v[i].value;
    return NULL;
}

/* What matched is built again from its parameters; params are text. */
static void match(const struct router *r, char *const *paths, const char *subject) {
    struct subject_params params = {0};
    struct buf built = {0};
    int op = router_match(r, subject, &params);
    if (op >= 0) {
        for (size_t i = 0; i < params.n; i++)
            HOLDS(jsonval_is_utf8(params.v[i].value, strlen(params.v[i].value)));
        struct subject_params again = {0};
        buf_puts(&built, "q.");
        if (subject_build(paths[op], get, &params, &built, NULL) == 0) {
            HOLDS(router_match(r, built.p, &again) == op);
            HOLDS(again.n == params.n);
            for (size_t i = 0; i < again.n; i++)
                HOLDS(!strcmp(again.v[i].value, params.v[i].value));
            subject_params_free(&again);
        }
        buf_free(&built);
    }
    subject_params_free(&params);
}

static void replies(const char *subject) {
    struct err err;
    bool allowed = subject_reply_allowed(subject, "_INBOX.own");
    HOLDS(!allowed || !strncmp(subject, "_INBOX", 6));
    HOLDS(!allowed || !strpbrk(subject, "*> \t\r\n$"));
    HOLDS(!allowed || strncmp(subject, "_INBOX.own.", 11) != 0);
    bool prefixed = subject_reply_prefixed(subject, "a.,b.c.");
    HOLDS(!prefixed || !strncmp(subject, "a.", 2) || !strncmp(subject, "b.c.", 4));
    HOLDS(!prefixed || !strpbrk(subject, "*> \t\r\n$"));
    (void)!subject_check_literal(subject, true, &err);
    (void)!subject_check_literal(subject, false, &err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct router *r = router_new();
    char *paths[32];
    int n = 0;
    struct err err;
    for (char *line; size && n < 32; n++) {
        line = fuzz_line(&data, &size);
        paths[n] = line;
        if (!*line) {
            n++;
            break;
        }
        if (subject_check_path(line, &err) == 0)
            (void)!router_add(r, "q", line, n, NULL, &err);
    }
    while (size) {
        char *line = fuzz_line(&data, &size), *subject = xasprintf("q.%s", line);
        match(r, paths, subject);
        replies(line);
        free(subject);
        free(line);
    }
    for (int i = 0; i < n; i++)
        free(paths[i]);
    router_delete(r);
    return 0;
}
