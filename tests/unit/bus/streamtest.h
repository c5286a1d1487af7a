/* SPDX-License-Identifier: MIT */
/* What the tests of streams share: a server, and for each test a connection, a loop and a stream of
 * its own. */
#ifndef RBF_TEST_STREAMTEST_H
#define RBF_TEST_STREAMTEST_H
#include "bus/bus_private.h"
#include "bus/jsapi.h"
#include "natsserver.h"

static struct natsserver server;
static struct testloop loop;
static struct bus *bus;
static char names[3][32]; /* of this test's stream, consumer and subjects */
static struct stream_spec spec;

/* Each test has a stream of its own, so that none meets another's messages. */
static inline int set_up(void **state) {
    static int n;
    testloop_init(&loop);
    bus = connect_to(&server, &loop);
    snprintf(names[0], 32, "S%d", ++n);
    snprintf(names[1], 32, "C%d", n);
    snprintf(names[2], 32, "s%d.>", n);
    spec = (struct stream_spec){.stream = names[0],
                                .consumer = names[1],
                                .subjects = names[2],
                                .description = "rbf namespace default",
                                .ack_wait_ms = 30000,
                                .max_ack_pending = 5000,
                                .replicas = 1};
    return 0;
}

static inline int tear_down(void **state) {
    bus_delete(bus);
    testloop_end(&loop);
    return 0;
}

/* Helpers */

static inline struct got ensure_with(struct bus *b, const struct stream_spec *s) {
    struct got got = {0};
    stream_ensure(b, s, on_got_stream, &got);
    assert_int_equal(got.calls, 0);
    UNTIL(&loop, 30000, got.calls);
    return got;
}

static inline void ensure(void) {
    struct got got = ensure_with(bus, &spec);
    if (got.kind)
        fail_msg("%s", got.text);
}

static inline void refused(const char *const *says, enum err_kind kind) {
    struct got got = ensure_with(bus, &spec);
    for (; *says; says++)
        if (!strstr(got.text, *says))
            fail_msg("expected '%s' in: %s", *says, got.text);
    assert_int_equal(got.kind, kind);
    assert_null(strchr(got.text, '\n'));
}

#define REFUSED(kind, ...) refused((const char *const[]){__VA_ARGS__, NULL}, kind)

static inline void on_json(const struct bus_msg *m, const struct err *failed, void *arg) {
    struct err err;
    int code;
    json_t **answer = arg;
    *answer = jsapi_answer(m, failed, &code, &err);
    if (!*answer)
        *answer = json_pack("{s:i, s:s}", "code", code, "text", err.msg);
}

/* Caller decrefs. */
static inline json_t *api(const char *verb, const char *stream, const char *consumer,
                          json_t *body) {
    json_t *answer = NULL;
    assert_int_not_equal(jsapi_call(bus, verb, stream, consumer, body, on_json, &answer, NULL), 0);
    UNTIL(&loop, 30000, answer);
    return answer;
}

static inline void api_ok(const char *verb, const char *stream, const char *consumer,
                          json_t *body) {
    json_t *answer = api(verb, stream, consumer, body);
    if (json_object_get(answer, "code"))
        fail_msg("%s: %s", verb, json_string_value(json_object_get(answer, "text")));
    json_decref(answer);
}

static inline json_int_t config_of(const char *verb, const char *consumer, const char *field) {
    json_t *answer = api(verb, spec.stream, consumer, NULL);
    json_int_t n = json_integer_value(json_object_get(json_object_get(answer, "config"), field));
    json_decref(answer);
    return n;
}

static inline json_int_t stored(void) {
    json_t *answer = api("STREAM.INFO", spec.stream, NULL, NULL);
    json_int_t n =
        json_integer_value(json_object_get(json_object_get(answer, "state"), "messages"));
    json_decref(answer);
    return n;
}

static inline void subject_of(int i, char out[48]) {
    snprintf(out, 48, "%.*s.m.%d", (int)strlen(spec.subjects) - 2, spec.subjects, i);
}

static inline void on_stored(const struct err *err, bool duplicate, void *arg) {
    if (err)
        fail_msg("%s", err->msg);
    ++*(int *)arg;
}

static inline void store(int from, int to) {
    int done = 0;
    for (int i = from; i < to; i++) {
        char subject[48], text[16];
        struct hdrs h = {0};
        subject_of(i, subject);
        snprintf(text, sizeof text, "%d", i);
        hdrs_add(&h, "Request-Id", text);
        assert_int_not_equal(
            bus_store(bus, subject, &h, text, strlen(text), 20000, on_stored, &done, NULL), 0);
        hdrs_free(&h);
    }
    UNTIL(&loop, 10000, done == to - from);
}

/* A tenth of the real times, so that the tests of silence need not take minutes. */
static inline int start(void **state) {
    pull_times.expires_ms = 3000;
    pull_times.local_expiry_ms = 3100;
    pull_times.heartbeat_ms = 500;
    pull_times.silence_ms = 1100;
    natsserver_start(&server, true, NULL);
    return 0;
}

static inline int end(void **state) {
    natsserver_end(&server);
    nats_Close();
    return 0;
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
#endif
