/* SPDX-License-Identifier: MIT */
/* call, also known as job:trigger: one request to the hosts, and what it was answered. */
#include "base/configval.h"
#include "base/id.h"
#include "base/jsonval.h"
#include "cli/cli.h"
#include "core/client.h"
#include "wire/subject.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#define TIMEOUT_MS 30000
#define MAX_TIMEOUT_MS 86400000
#define RETRIES 2
#define NO_ANSWER 3 /* exit code */

struct trigger {
    const struct client_request *request;
    uv_timer_t patience;
    int waited_s;
    int code; /* exit code */
    bool done;
};

/* ---- waiting: a line that grows older, for people only ---- */

static void on_second(uv_timer_t *timer) {
    struct trigger *t = timer->data;
    fprintf(stderr, "\r%s: waiting for %d s of %d", t->request->subject, ++t->waited_s,
            t->request->timeout_ms / 1000);
    fflush(stderr);
}

static void start_patience(struct trigger *t, uv_loop_t *loop) {
    uv_timer_init(loop, &t->patience);
    t->patience.data = t;
    if (isatty(STDERR_FILENO))
        uv_timer_start(&t->patience, on_second, 1000, 1000);
}

static void end_patience(struct trigger *t) {
    if (t->waited_s)
        fputs("\r\033[K", stderr);
    uv_close((uv_handle_t *)&t->patience, NULL);
}

/* ---- the answer ---- */

static int code_of(int status) {
    return status < 300 ? 0 : status < 500 ? 4 : 5;
}

static void on_answer(const struct client_answer *a, void *arg) {
    struct trigger *t = arg;
    t->done = true;
    end_patience(t);
    if (a->body) {
        printf("%.*s\n", (int)a->len, a->body);
        t->code = code_of(a->status);
        if (t->code)
            cli_fail("%s answered with status %d", t->request->subject, a->status);
    } else if (a->status == CLIENT_STORED) {
        puts(t->request->id);
    } else {
        cli_fail("%s", a->message);
        t->code = a->unknown ? NO_ANSWER : 1;
    }
}

static int trigger(const struct config *cfg, const struct client_request *r) {
    struct trigger t = {.request = r};
    struct err err;
    uv_loop_t loop;
    uv_loop_init(&loop);
    struct client *client = client_new(&loop, cfg, "rbf call", &err);
    if (!client)
        return cli_fail("%s", err.msg);
    start_patience(&t, &loop);
    client_wait(client, client_send(client, r), on_answer, &t);
    while (!t.done)
        uv_run(&loop, UV_RUN_ONCE);
    client_delete(client);
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
    return t.code;
}

/* ---- the request ---- */

/* "-": standard input; "@file"; else the text itself. */
static int read_input(const char *word, struct buf *out, struct err *err) {
    char chunk[65536];
    size_t n;
    const char *name = *word == '@' ? word + 1 : "standard input";
    FILE *in = strcmp(word, "-") ? NULL : stdin;
    if (*word == '@')
        in = fopen(name, "re");
    else if (!in)
        return buf_puts(out, word), 0;
    while (in && (n = fread(chunk, 1, sizeof chunk, in)) > 0)
        buf_put(out, chunk, n);
    int rc =
        in && !ferror(in) ? 0 : err_set(err, ERR_SYS, "cannot read %s: %s", name, strerror(errno));
    if (in && in != stdin)
        fclose(in);
    return rc;
}

static int read_json(const char *word, struct buf *out, struct err *err) {
    if (read_input(word, out, err))
        return -1;
    json_t *v = jsonval_read(out->p ? out->p : "", out->len, err);
    if (v && !out->len)
        buf_puts(out, "null"); /* as empty text is read */
    json_decref(v);
    return v ? 0 : -1;
}

/* "name=value" of a flag; its value, *n the length of its name. */
static const char *split(const struct cli_flag *f, size_t *n, struct err *err) {
    *n = strcspn(f->value, "=");
    if (*n && f->value[*n])
        return f->value + *n + 1;
    err_set(err, ERR_CONFIG, "%.*s is NAME=VALUE, found '%s'", (int)f->len, f->name, f->value);
    return NULL;
}

static bool is(const struct cli_flag *f, const char *name) {
    return strlen(name) == f->len && !strncmp(f->name, name, f->len);
}

static int read_headers(const struct cli *c, struct hdrs *out, struct err *err) {
    for (int i = 0; i < c->n_flags; i++) {
        size_t n;
        if (!is(&c->flags[i], "--header"))
            continue;
        const char *value = split(&c->flags[i], &n, err);
        if (!value)
            return -1;
        char *name = xmemdup(c->flags[i].value, n);
        int rc = hdrs_valid(name, value) ? 0
                                         : err_set(err, ERR_CONFIG,
                                                   "--header %s: the name or the value is one that "
                                                   "no header can have",
                                                   name);
        if (!rc)
            hdrs_add(out, name, value);
        free(name);
        if (rc)
            return -1;
    }
    return 0;
}

static const char *param(const char *name, void *arg) {
    const struct cli *c = arg;
    size_t n = strlen(name);
    for (int i = 0; i < c->n_flags; i++) {
        const char *text = c->flags[i].value;
        if (is(&c->flags[i], "--param") && !strncmp(text, name, n) && text[n] == '=')
            return text + n + 1;
    }
    return NULL;
}

/* Is $name a token of the path? n: bytes of name */
static bool has_token(const char *path, const char *name, size_t n) {
    for (const char *p = path; (p = strchr(p, '$')); p++)
        if (!strncmp(p + 1, name, n) && (!p[1 + n] || p[1 + n] == '.'))
            return true;
    return false;
}

static int check_params(const struct cli *c, const char *path, struct err *err) {
    for (int i = 0; i < c->n_flags; i++) {
        size_t n;
        if (!is(&c->flags[i], "--param"))
            continue;
        if (!split(&c->flags[i], &n, err))
            return -1;
        if (!has_token(path, c->flags[i].value, n))
            return err_set(err, ERR_CONFIG, "--param %s: '%s' has no $%.*s", c->flags[i].value,
                           path, (int)n, c->flags[i].value);
    }
    return 0;
}

/* The subject in full, "jobs.users.get.$userId" filled in. The caller's; NULL with err. */
static char *make_subject(struct cli *c, const char *path, struct err *err) {
    struct buf out = {0};
    int rc = check_params(c, path, err);
    buf_puts(&out, c->cfg.subject_prefix);
    if (!rc && strchr(path, '$'))
        rc = subject_build(path, param, c, &out, err);
    else if (!rc && !(rc = subject_check_literal(path, false, err)))
        buf_puts(&out, path);
    if (!rc && !strchr(path, '.'))
        rc = err_set(err, ERR_CONFIG, "PATH is like jobs.users.create, found '%s'", path);
    if (!rc)
        return buf_steal(&out);
    buf_free(&out);
    return NULL;
}

static int read_timeout(const struct cli *c, int *ms, struct err *err) {
    const char *text = cli_flag(c, "--timeout");
    struct configval v = {CONFIGVAL_DURATION, 1, MAX_TIMEOUT_MS, NULL, TIMEOUT_MS};
    if (text && configval_read(&v, "--timeout", text, err))
        return -1;
    *ms = (int)v.number;
    return 0;
}

static int read_id(const struct cli *c, char fresh[ID_TEXT], const char **id, struct err *err) {
    *id = cli_flag(c, "--request-id");
    if (*id && (strlen(*id) > ENVELOPE_ID_MAX || !hdrs_valid("x", *id)))
        return err_set(err, ERR_CONFIG, "--request-id is 1 to %d bytes of printable UTF-8",
                       ENVELOPE_ID_MAX);
    if (!*id) {
        id_v7(fresh);
        *id = fresh;
    }
    return 0;
}

int cmd_call(struct cli *c) {
    struct err err;
    char fresh[ID_TEXT];
    struct buf json = {0};
    struct hdrs hdrs = {0};
    struct client_request r = {.way = cli_flag(c, "--no-wait") ? CLIENT_LEAVE : CLIENT_STORE,
                               .hdrs = &hdrs,
                               .retries = RETRIES};
    char *subject = NULL;
    int code;
    if (c->argc < 1 || c->argc > 2)
        return cli_fail("usage: rbf call QUEUE.PATH [JSON | @FILE | -], as in rbf call "
                        "jobs.users.create '{\"email\":\"ada@example.com\",\"name\":\"Ada\"}'");
    if (read_timeout(c, &r.timeout_ms, &err) || read_id(c, fresh, &r.id, &err) ||
        read_headers(c, &hdrs, &err) ||
        read_json(c->argc == 2 ? c->argv[1] : "null", &json, &err) ||
        cli_find_servers(c, &c->cfg.nats_url, &err) ||
        !(subject = make_subject(c, c->argv[0], &err))) {
        code = cli_fail("%s", err.msg);
    } else {
        r.subject = subject;
        r.body = json.p;
        r.len = json.len;
        code = trigger(&c->cfg, &r);
    }
    free(subject);
    hdrs_free(&hdrs);
    buf_free(&json);
    return code;
}
