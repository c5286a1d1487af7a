/* SPDX-License-Identifier: MIT */
/* "No responders", told of the right request among many, against a real nats-server. */
#include "natsserver.h"

static struct natsserver server;
static struct testloop loop;

static struct bus *connect_telling(void) {
    struct err err = {0};
    struct bus_options o = {
        .url = server.url, .name = "test", .connect_timeout_ms = 20000, .tell_nobody = true};
    struct bus *b = bus_new(&loop.loop, &o, &err);
    if (!b)
        fail_msg("%s", err.msg);
    return b;
}

static void ask(struct bus *b, const char *subject, struct got *got) {
    assert_int_not_equal(bus_request(b, subject, NULL, "", 0, 20000, on_got, got, NULL), 0);
}

static void make_stream(struct bus *b) {
    static const char text[] = "{\"name\":\"S\",\"subjects\":[\"kept.>\"]}";
    struct got got = {0};
    assert_int_not_equal(bus_request(b, "$JS.API.STREAM.CREATE.S", NULL, text, strlen(text), 5000,
                                     on_got, &got, NULL),
                         0);
    UNTIL(&loop, 30000, got.calls);
    assert_int_equal(got.kind, ERR_NONE);
}

static void test_one(void **state) {
    struct bus *b = connect_telling();
    struct got got = {0};
    ask(b, "nobody.here", &got);
    assert_int_equal(got.calls, 0); /* never from inside */
    UNTIL(&loop, 30000, got.calls);
    assert_int_equal(got.kind, ERR_NOBODY);
    assert_string_equal(got.text, "nobody serves 'nobody.here'");
    bus_delete(b);
}

/* More than the queue of probes first holds, answered ones and unanswered ones in turn. */
static void ask_many(struct bus *b) {
    enum { N = 600 };
    static struct got got[N];
    memset(got, 0, sizeof got);
    for (int i = 0; i < N; i++) {
        if (i % 3 == 0)
            ask(b, i % 2 ? "nobody.here" : "nobody.there", &got[i]);
        else if (i % 3 == 1)
            ask(b, "$JS.API.INFO", &got[i]);
        else
            assert_int_not_equal(bus_store(b, i % 2 ? "kept.a" : "lost.a", NULL, "x", 1, 5000,
                                           on_got_puback, &got[i], NULL),
                                 0);
    }
    for (int i = 0; i < N; i++) {
        UNTIL(&loop, 30000, got[i].calls);
        bool nobody = i % 3 == 0 || (i % 3 == 2 && i % 2 == 0);
        assert_int_equal(got[i].kind, nobody ? ERR_NOBODY : ERR_NONE);
    }
    assert_string_equal(got[2].text, "no stream takes 'lost.a'");
}

static void test_among_many(void **state) {
    struct bus *b = connect_telling();
    make_stream(b);
    ask_many(b);
    bus_delete(b);
}

static void test_after_a_restart(void **state) {
    struct bus *b = connect_telling();
    struct got lost = {0};
    make_stream(b);
    ask(b, "nobody.here", &lost); /* its probe is lost with the connection */
    natsserver_kill(&server);
    UNTIL(&loop, 30000, lost.calls && !bus_up(b));
    natsserver_up(&server);
    UNTIL(&loop, 10000, bus_up(b));
    ask_many(b);
    bus_delete(b);
}

static int set_up(void **state) {
    testloop_init(&loop);
    return 0;
}

static int tear_down(void **state) {
    testloop_end(&loop);
    return 0;
}

static int start(void **state) {
    natsserver_start(&server, true, NULL);
    return 0;
}

static int end(void **state) {
    natsserver_end(&server);
    nats_Close();
    return 0;
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {T(test_one), T(test_among_many), T(test_after_a_restart)};
    return cmocka_run_group_tests(tests, start, end);
}
