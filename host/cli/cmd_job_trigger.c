/* SPDX-License-Identifier: MIT */
#include "base/id.h"
#include "base/jsonval.h"
#include "cli/cli.h"
#include "core/client.h"
#include "wire/subject.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TIMEOUT_MS 30000
#define RETRIES 2

struct trigger {
    const char *subject;
    int code; /* exit code */
    bool done;
};

static void on_answer(const struct client_answer *a, void *arg) {
    struct trigger *t = arg;
    t->done = true;
    t->code = a->status == 200 ? 0 : 1;
    if (a->body)
        printf("%.*s\n", (int)a->len, a->body);
    if (!a->body)
        cli_fail("%s", a->message);
    else if (t->code)
        cli_fail("%s answered with status %d", t->subject, a->status);
}

static int trigger(const struct config *cfg, const struct client_request *r) {
    struct trigger t = {.subject = r->subject};
    struct err err;
    uv_loop_t loop;
    uv_loop_init(&loop);
    struct client *client = client_new(&loop, cfg, "rbf job:trigger", &err);
    if (!client)
        return cli_fail("%s", err.msg);
    client_wait(client, client_send(client, r), on_answer, &t);
    while (!t.done)
        uv_run(&loop, UV_RUN_ONCE);
    client_delete(client);
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
    return t.code;
}

static int check(const char *target, const char *json, struct err *err) {
    json_t *v = jsonval_read(json, strlen(json), err);
    if (!v)
        return -1;
    json_decref(v);
    if (!strchr(target, '.'))
        return err_set(err, ERR_CONFIG, "QUEUE.PATH is like jobs.users.create, found '%s'", target);
    return subject_check_literal(target, false, err);
}

int cmd_job_trigger(struct cli *c) {
    struct err err;
    const char *own_id = cli_flag(c, "--request-id");
    if (c->argc < 1 || c->argc > 2)
        return cli_fail("usage: rbf job:trigger QUEUE.PATH [JSON], as in rbf job:trigger "
                        "jobs.users.create '{\"email\":\"ada@example.com\",\"name\":\"Ada\"}'");
    const char *json = c->argc == 2 ? c->argv[1] : "null";
    if (check(c->argv[0], json, &err) || cli_find_servers(c, &c->cfg.nats_url, &err))
        return cli_fail("%s", err.msg);
    char *subject = xasprintf("%s%s", c->cfg.subject_prefix, c->argv[0]);
    char fresh[ID_TEXT];
    id_v7(fresh);
    struct client_request r = {
        .way = CLIENT_STORE,
        .subject = subject,
        .id = own_id ? own_id : fresh,
        .body = json,
        .len = strlen(json),
        .timeout_ms = TIMEOUT_MS,
        .retries = RETRIES,
    };
    int code = trigger(&c->cfg, &r);
    free(subject);
    return code;
}
