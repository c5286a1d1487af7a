/* SPDX-License-Identifier: MIT */
#include "base/id.h"
#include "base/jsonval.h"
#include "bus/bus.h"
#include "cli/cli.h"
#include "wire/subject.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REPLY_TIMEOUT_MS 30000
#define STORE_TIMEOUT_MS 3000

struct trigger {
    uv_loop_t loop;
    struct bus *bus;
    const char *id;
    const char *subject;
    int code;  /* exit code */
    bool done; /* answered or refused */
};

static void finish(struct trigger *t, int code) {
    t->code = code;
    t->done = true;
    uv_stop(&t->loop);
}

static void on_reply(const struct bus_msg *m, const struct err *err, void *arg) {
    struct trigger *t = arg;
    if (t->done)
        return;
    if (err) {
        cli_fail("no answer within %d s; the request %s is stored in NATS and will run: ask again "
                 "with the same id later",
                 REPLY_TIMEOUT_MS / 1000, t->id);
        finish(t, 1);
        return;
    }
    const char *status = hdrs_get(&m->hdrs, "Status-Code");
    printf("%.*s\n", (int)m->len, m->data);
    if (status && !strcmp(status, "200")) {
        finish(t, 0);
    } else {
        cli_fail("%s answered with status %s", t->subject, status ? status : "(none)");
        finish(t, 1);
    }
}

static void on_stored(const struct err *err, bool duplicate, void *arg) {
    struct trigger *t = arg;
    if (!err || t->done)
        return;
    cli_fail("no stream takes %s (%s): is the queue's name right, and is a host running?",
             t->subject, err->msg);
    finish(t, 1);
}

static int send_request(struct trigger *t, const char *json, struct err *err) {
    struct hdrs h = {0};
    struct buf reply = {0};
    bus_expect(t->bus, REPLY_TIMEOUT_MS, on_reply, t, &reply);
    hdrs_add(&h, "RBF-Request-Id", t->id);
    hdrs_add(&h, "Reply-To", reply.p);
    uint64_t sent =
        bus_store(t->bus, t->subject, &h, json, strlen(json), STORE_TIMEOUT_MS, on_stored, t, err);
    hdrs_free(&h);
    buf_free(&reply);
    return sent ? 0 : -1;
}

static int trigger(const char *nats_url, const char *subject, const char *id, const char *json) {
    struct trigger t = {.subject = subject, .id = id, .code = 1};
    struct err err;
    uv_loop_init(&t.loop);
    struct bus_options o = {.url = nats_url, .name = "rbf job:trigger", .connect_timeout_ms = 5000};
    t.bus = bus_new(&t.loop, &o, &err);
    if (!t.bus)
        return cli_fail("%s", err.msg);
    if (send_request(&t, json, &err))
        cli_fail("%s", err.msg);
    else
        uv_run(&t.loop, UV_RUN_DEFAULT);
    t.done = true;
    bus_delete(t.bus);
    uv_run(&t.loop, UV_RUN_DEFAULT);
    uv_loop_close(&t.loop);
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
    int code = trigger(c->cfg.nats_url, subject, own_id ? own_id : fresh, json);
    free(subject);
    return code;
}
