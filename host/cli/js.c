/* SPDX-License-Identifier: MIT */
#include "cli/js.h"
#include "base/jsonval.h"
#include <signal.h>
#include <stdlib.h>

#define CONNECT_TIMEOUT_MS 5000

struct js {
    uv_loop_t loop;
    struct bus *bus;
    bool answered;
    json_t *answer;
    int code;
    struct err err;
};

struct js *js_open(const struct config *cfg, const char *name, struct err *err) {
    struct js *j = xcalloc(1, sizeof *j);
    struct bus_options o = bus_options_of(cfg);
    o.name = name;
    o.connect_timeout_ms = CONNECT_TIMEOUT_MS;
    o.tell_nobody = true;
    signal(SIGPIPE, SIG_IGN);
    uv_loop_init(&j->loop);
    j->bus = bus_new(&j->loop, &o, err);
    if (j->bus)
        return j;
    uv_loop_close(&j->loop);
    free(j);
    return NULL;
}

void js_close(struct js *j) {
    if (!j)
        return;
    bus_delete(j->bus);
    uv_run(&j->loop, UV_RUN_DEFAULT);
    uv_loop_close(&j->loop);
    free(j);
}

size_t js_max_payload(const struct js *j) {
    return bus_max_payload(j->bus);
}

static void on_answer(const struct bus_msg *m, const struct err *failed, void *arg) {
    struct js *j = arg;
    j->answered = true;
    if (failed && failed->kind == ERR_NOBODY) {
        j->code = 0;
        err_set(&j->err, ERR_CONFIG,
                "JetStream is off, or its API is not for this user: start "
                "nats-server with -js, allow publishing to $JS.API.>");
    } else {
        j->answer = jsapi_answer(m, failed, &j->code, &j->err);
    }
}

json_t *js_call(struct js *j, const char *verb, const char *stream, const char *consumer,
                json_t *body, int *code, struct err *err) {
    struct buf subject = {0}, text = {0};
    buf_printf(&subject, "$JS.API.%s%s%s%s%s", verb, stream ? "." : "", stream ? stream : "",
               consumer ? "." : "", consumer ? consumer : "");
    if (body)
        jsonval_write(&text, body);
    j->answered = false;
    j->answer = NULL;
    *code = 0;
    uint64_t sent =
        bus_request(j->bus, subject.p, NULL, text.p, text.len, JSAPI_TIMEOUT_MS, on_answer, j, err);
    buf_free(&subject);
    buf_free(&text);
    json_decref(body);
    while (sent && !j->answered)
        uv_run(&j->loop, UV_RUN_ONCE);
    if (sent && !j->answer)
        *err = j->err;
    *code = j->code;
    return sent ? j->answer : NULL;
}

json_t *js_list(struct js *j, const char *verb, const char *stream, const char *key,
                struct err *err) {
    json_t *all = json_array(), *page;
    int code;
    for (json_int_t total = 1; (json_int_t)json_array_size(all) < total;) {
        json_t *from = json_pack("{s:I}", "offset", (json_int_t)json_array_size(all));
        if (!(page = js_call(j, verb, stream, NULL, from, &code, err))) {
            json_decref(all);
            return NULL;
        }
        json_t *found = json_object_get(page, key);
        total = json_array_size(found) ? json_integer_value(json_object_get(page, "total")) : 0;
        json_array_extend(all, found);
        json_decref(page);
    }
    return all;
}
