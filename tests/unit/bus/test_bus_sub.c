/* SPDX-License-Identifier: MIT */
/* Plain subscriptions in queue groups, against a real nats-server. */
#include "bus/bus_sub.h"
#include "natsserver.h"

static struct natsserver server;
static struct testloop loop;

static int set_up(void **state) {
    testloop_init(&loop);
    return 0;
}

static int tear_down(void **state) {
    testloop_end(&loop);
    return 0;
}

struct heard {
    int calls;
    char subject[64], reply[64], text[64], header[64];
};

static void on_heard(struct bus_msg *m, void *arg) {
    struct heard *h = arg;
    const char *header = hdrs_get(&m->hdrs, "X");
    h->calls++;
    snprintf(h->subject, sizeof h->subject, "%s", m->subject);
    snprintf(h->reply, sizeof h->reply, "%s", m->reply ? m->reply : "");
    snprintf(h->text, sizeof h->text, "%.*s", (int)m->len, m->data);
    snprintf(h->header, sizeof h->header, "%s", header ? header : "");
    bus_msg_delete(m);
}

static struct bus_sub *subscribe(struct bus *b, const char *subject, struct heard *h) {
    struct err err;
    struct bus_sub *s = bus_sub_new(b, subject, "group", on_heard, h, &err);
    if (!s)
        fail_msg("%s", err.msg);
    return s;
}

/* Until the server has read what b sent, and b what it was sent until then. */
static void flush_on(struct testloop *l, struct bus *b) {
    struct got echo = {0};
    assert_int_not_equal(bus_echo(b, 20000, on_got, &echo, NULL), 0);
    UNTIL(l, 30000, echo.calls);
    assert_int_equal(echo.kind, ERR_NONE);
}

static void flush(struct bus *b) {
    flush_on(&loop, b);
}

static void publish(struct bus *b, const char *subject, int n) {
    for (int i = 0; i < n; i++)
        assert_int_equal(bus_publish(b, subject, NULL, NULL, "x", 1, NULL), 0);
}

static void test_message_is_whole(void **state) {
    struct bus *a = connect_to(&server, &loop), *b = connect_to(&server, &loop);
    struct heard heard = {0};
    struct hdrs h = {0};
    subscribe(a, "space.*.name", &heard);
    flush(a);
    hdrs_add(&h, "X", "y");
    assert_int_equal(bus_publish(b, "space.42.name", "some.where", &h, "hello", 5, NULL), 0);
    UNTIL(&loop, 30000, heard.calls);
    assert_string_equal(heard.subject, "space.42.name");
    assert_string_equal(heard.reply, "some.where");
    assert_string_equal(heard.text, "hello");
    assert_string_equal(heard.header, "y");
    hdrs_free(&h);
    bus_delete(a);
    bus_delete(b);
}

/* Also where two subjects of the group match: the gateway's patterns overlap. */
static void test_a_group_gets_each_message_once(void **state) {
    struct bus *a = connect_to(&server, &loop), *b = connect_to(&server, &loop);
    struct heard heard[4] = {0};
    subscribe(a, "users.*", &heard[0]);
    subscribe(a, "users.me", &heard[1]);
    subscribe(b, "users.*", &heard[2]);
    subscribe(b, "users.me", &heard[3]);
    flush(a);
    flush(b);
    publish(a, "users.me", 200);
    flush(a);
    flush(b);
    int sum = 0;
    for (int i = 0; i < 4; i++)
        sum += heard[i].calls;
    assert_int_equal(sum, 200);
    assert_true(heard[0].calls + heard[1].calls > 0); /* both share the work */
    assert_true(heard[2].calls + heard[3].calls > 0);
    bus_delete(a);
    bus_delete(b);
}

/* What the server had sent before it read the end still comes; afterwards the other gets all. The
 * sender has a loop of its own: nobody reads while it sends. */
static void test_off_loses_nothing(void **state) {
    struct testloop other;
    testloop_init(&other);
    struct bus *a = connect_to(&server, &loop), *b = connect_to(&server, &loop);
    struct bus *sender = connect_to(&server, &other);
    enum { N = 2000 };
    struct heard here = {0}, there = {0};
    struct bus_sub *s = subscribe(a, "work.do", &here);
    subscribe(b, "work.do", &there);
    flush(a);
    flush(b);
    publish(sender, "work.do", N);
    flush_on(&other, sender);
    assert_int_equal(here.calls, 0); /* they are on their way */
    bus_sub_switch(s, false);
    flush(a);
    flush(b);
    int then = here.calls;
    assert_true(then > 0 && then < N);
    assert_int_equal(then + there.calls, N);
    publish(sender, "work.do", 100);
    flush_on(&other, sender);
    flush(a);
    flush(b);
    assert_int_equal(here.calls, then);
    assert_int_equal(then + there.calls, N + 100);
    bus_sub_switch(s, true);
    flush(a);
    publish(sender, "work.do", 100);
    flush_on(&other, sender);
    flush(a);
    flush(b);
    assert_true(here.calls > then);
    assert_int_equal(here.calls + there.calls, N + 200);
    bus_delete(a);
    bus_delete(b);
    bus_delete(sender);
    testloop_end(&other);
}

static void test_reconnects(void **state) {
    struct natsserver own;
    natsserver_start(&own, false, NULL);
    struct bus *b = connect_to(&own, &loop), *sender = connect_to(&own, &loop);
    struct heard on = {0}, off = {0}, late = {0}, again = {0};
    subscribe(b, "on", &on);
    bus_sub_switch(subscribe(b, "off", &off), false);
    struct bus_sub *s = subscribe(b, "again", &again);
    flush(b);
    natsserver_kill(&own);
    UNTIL(&loop, 30000, !bus_up(b) && !bus_up(sender));
    subscribe(b, "late", &late); /* while the server is away */
    bus_sub_switch(s, false);
    bus_sub_switch(s, true);
    natsserver_spawn(&own);
    UNTIL(&loop, 30000, bus_up(b) && bus_up(sender));
    flush(b);
    publish(sender, "on", 10);
    publish(sender, "off", 10);
    publish(sender, "late", 10);
    publish(sender, "again", 10);
    flush(sender);
    flush(b);
    assert_int_equal(on.calls, 10);
    assert_int_equal(off.calls, 0);
    assert_int_equal(late.calls, 10);
    assert_int_equal(again.calls, 10);
    bus_delete(b);
    bus_delete(sender);
    natsserver_end(&own);
}

/* Above the 65,536 at which libnats drops by default, all read in one go. */
static void test_many_at_once(void **state) {
    struct bus *b = connect_to(&server, &loop);
    struct heard heard = {0};
    subscribe(b, "many", &heard);
    flush(b);
    publish(b, "many", 70000);
    flush(b);
    assert_int_equal(heard.calls, 70000);
    bus_delete(b);
}

/* An empty message with this header: libnats takes it for the server's word and shows it to nobody,
 * but what follows must come. */
static void test_a_header_named_status(void **state) {
    struct bus *b = connect_to(&server, &loop);
    struct heard heard = {0};
    struct hdrs h = {0};
    subscribe(b, "odd", &heard);
    flush(b);
    hdrs_add(&h, "Status", "503");
    assert_int_equal(bus_publish(b, "odd", NULL, &h, "", 0, NULL), 0);
    hdrs_set(&h, "Status", "100");
    assert_int_equal(bus_publish(b, "odd", NULL, &h, "", 0, NULL), 0);
    publish(b, "odd", 1);
    flush(b);
    assert_int_equal(heard.calls, 2);
    hdrs_free(&h);
    bus_delete(b);
}

static void test_refuses_what_is_no_subject(void **state) {
    struct bus *b = connect_to(&server, &loop);
    struct heard heard = {0};
    static const char *const bad[] = {"", ".a", "a..b", "a b", "a\r\nPING", "a."};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct err err = {0};
        assert_null(bus_sub_new(b, bad[i], "group", on_heard, &heard, &err));
        assert_int_equal(err.kind, ERR_INVALID);
    }
    assert_true(bus_up(b));
    bus_delete(b);
}

static int start(void **state) {
    natsserver_start(&server, false, NULL);
    return 0;
}

static int end(void **state) {
    natsserver_end(&server);
    nats_Close();
    return 0;
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        T(test_message_is_whole),
        T(test_a_group_gets_each_message_once),
        T(test_off_loses_nothing),
        T(test_reconnects),
        T(test_many_at_once),
        T(test_a_header_named_status),
        T(test_refuses_what_is_no_subject),
    };
    return cmocka_run_group_tests(tests, start, end);
}
