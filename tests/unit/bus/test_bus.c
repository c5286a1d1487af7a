/* SPDX-License-Identifier: MIT */
/* The connection, its inbox and its failures, against a real nats-server. */
#define _GNU_SOURCE /* accept4 */
#include "natsproxy.h"
#include <sys/ioctl.h>
#include <sys/socket.h>

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

/* Until the server knows a's inbox: what another connection sends may overtake the subscription. */
static void wait_for_inbox(struct bus *a) {
    struct got echo = {0};
    assert_int_not_equal(bus_echo(a, 20000, on_got, &echo, NULL), 0);
    UNTIL(&loop, 30000, echo.calls);
}

/* Two connections find each other through bus_expect's subject: the only subscription a bus has. */
static void test_reply_through_own_inbox(void **state) {
    struct bus *a = connect_to(&server, &loop), *b = connect_to(&server, &loop);
    struct buf inbox = {0};
    struct got got = {0};
    assert_int_not_equal(bus_expect(a, 20000, on_got, &got, &inbox), 0);
    assert_memory_equal(inbox.p, bus_inbox(a), strlen(bus_inbox(a)));
    wait_for_inbox(a);
    assert_int_equal(bus_publish(b, inbox.p, NULL, NULL, "hello", 5, NULL), 0);
    UNTIL(&loop, 30000, got.calls);
    assert_string_equal(got.text, "hello");
    bus_publish(b, inbox.p, NULL, NULL, "late", 4, NULL); /* nobody's now */
    struct got echo = {0};
    assert_int_not_equal(bus_echo(b, 20000, on_got, &echo, NULL), 0);
    UNTIL(&loop, 30000, echo.calls);
    assert_int_equal(echo.kind, ERR_NONE);
    assert_int_equal(got.calls, 1);
    buf_free(&inbox);
    bus_delete(a);
    bus_delete(b);
}

/* A server-side responder without a second kind of subscription: JetStream's own API. */
static void test_request(void **state) {
    struct bus *b = connect_to(&server, &loop);
    struct got got = {0};
    assert_int_not_equal(bus_request(b, "$JS.API.INFO", NULL, "", 0, 20000, on_got, &got, NULL), 0);
    assert_int_equal(got.calls, 0); /* never from inside the call */
    UNTIL(&loop, 30000, got.calls);
    assert_non_null(strstr(got.text, "account_info_response"));
    bus_delete(b);
}

static void on_headers(const struct bus_msg *m, const struct err *err, void *arg) {
    assert_null(err);
    assert_string_equal(hdrs_get(&m->hdrs, "Status-code"), "200");
    assert_string_equal(hdrs_get(&m->hdrs, "Mixed-CASE"), "v: with, signs");
    bool kept = false;
    int repeated = 0;
    for (size_t i = 0; i < m->hdrs.n; i++) {
        kept |= strcmp(m->hdrs.v[i].name, "Mixed-CASE") == 0;
        repeated += strcmp(m->hdrs.v[i].name, "Twice") == 0;
    }
    assert_true(kept);
    assert_int_equal(repeated, 2);
    assert_int_equal(m->len, 4);
    assert_memory_equal(m->data, "a\0\r\n", 4);
    assert_string_equal(m->reply, "some.where");
    *(bool *)arg = true;
}

static void test_headers_survive(void **state) {
    struct bus *b = connect_to(&server, &loop);
    struct hdrs h = {0};
    struct buf inbox = {0};
    bool seen = false;
    hdrs_add(&h, "Status-Code", "200");
    hdrs_add(&h, "Mixed-CASE", "v: with, signs");
    hdrs_add(&h, "Twice", "1");
    hdrs_add(&h, "Twice", "2");
    bus_expect(b, 20000, on_headers, &seen, &inbox);
    assert_int_equal(bus_publish(b, inbox.p, "some.where", &h, "a\0\r\n", 4, NULL), 0);
    UNTIL(&loop, 30000, seen);
    hdrs_free(&h);
    buf_free(&inbox);
    bus_delete(b);
}

/* A wait with a deadline, which lies between two looks at the clock. */
struct timed {
    uint64_t from, to; /* monotonic ms */
    int calls;
};

static struct {
    const struct timed *last;
    int n, wrong, early;
    enum err_kind kind;
} timeouts;

static void on_timeout(const struct bus_msg *m, const struct err *err, void *arg) {
    struct timed *t = arg;
    timeouts.early += clock_mono_ms() < t->from;
    timeouts.wrong += timeouts.last && timeouts.last->from > t->to;
    timeouts.last = t;
    timeouts.kind = err ? err->kind : ERR_NONE;
    timeouts.n++;
    t->calls++;
}

static void test_timeouts_come_in_order(void **state) {
    struct bus *b = connect_to(&server, &loop);
    enum { N = 3000, FORGOTTEN = 1500 };
    static struct timed timed[N];
    memset(timed, 0, sizeof timed);
    memset(&timeouts, 0, sizeof timeouts);
    struct buf subject = {0};
    uint64_t forgotten = 0;
    struct got patient = {0};
    bus_expect(b, 600000, on_got, &patient, &subject); /* nobody waits behind it */
    for (int i = 0; i < N; i++) {
        int64_t ms = 20 + (i * 7919) % 200;
        timed[i].from = clock_mono_ms() + (uint64_t)ms;
        uint64_t id = bus_expect(b, ms, on_timeout, &timed[i], &subject);
        timed[i].to = clock_mono_ms() + (uint64_t)ms;
        if (i == FORGOTTEN)
            forgotten = id;
    }
    bus_forget(b, forgotten);
    bus_forget(b, forgotten);
    UNTIL(&loop, 30000, timeouts.n >= N - 1);
    assert_int_equal(timeouts.early, 0);
    assert_int_equal(timeouts.wrong, 0);
    assert_int_equal(timeouts.kind, ERR_TIMEOUT);
    for (int i = 0; i < N; i++)
        assert_int_equal(timed[i].calls, i != FORGOTTEN);
    assert_int_equal(patient.calls, 0);
    buf_free(&subject);
    bus_delete(b);
}

static void test_request_nobody_answers(void **state) {
    struct bus *b = connect_to(&server, &loop);
    struct got got = {0};
    bus_request(b, "nobody.here", NULL, "", 0, 100, on_got, &got, NULL);
    UNTIL(&loop, 30000, got.calls);
    assert_int_equal(got.kind, ERR_TIMEOUT);
    assert_non_null(strstr(got.text, "nobody.here"));
    bus_delete(b);
}

static void test_refuses_what_the_server_would_close_for(void **state) {
    struct bus *b = connect_to(&server, &loop);
    struct err err = {0};
    struct hdrs h = {0};
    size_t max = bus_max_payload(b);
    assert_int_equal(max, 1024 * 1024);
    char *big = calloc(1, max + 1);
    assert_int_equal(bus_publish(b, "a.b", NULL, NULL, big, max + 1, &err), -1);
    assert_int_equal(err.kind, ERR_INVALID);
    assert_non_null(strstr(err.msg, "1048577"));
    assert_non_null(strstr(err.msg, "1048576"));
    hdrs_add(&h, "Request-Id", "1");
    err_clear(&err);
    assert_int_equal(bus_publish(b, "a.b", NULL, &h, big, max, &err), -1); /* headers count */
    assert_int_equal(err.kind, ERR_INVALID);
    assert_int_equal(bus_publish(b, "a.b", NULL, NULL, big, max, &err), 0);
    /* "NATS/1.0\r\n" "Request-Id: 1\r\n" "\r\n" */
    assert_int_equal(bus_publish(b, "a.b", NULL, &h, big, max - 27, &err), 0);
    assert_int_equal(bus_publish(b, "a.b", NULL, &h, big, max - 26, &err), -1);
    assert_int_equal(bus_publish(b, "a b", NULL, NULL, "", 0, &err), -1);
    assert_int_equal(bus_publish(b, "a.\r\nPUB x 0", NULL, NULL, "", 0, &err), -1);
    assert_int_equal(bus_publish(b, "", NULL, NULL, "", 0, &err), -1);
    assert_int_equal(bus_publish(b, "a.b", "c d", NULL, "", 0, &err), -1);
    memset(big, 'x', 5000);
    big[5000] = 0;
    assert_int_equal(bus_publish(b, big, NULL, NULL, "", 0, &err), -1);
    assert_int_equal(bus_request(b, "a b", NULL, "", 0, 100, on_got, NULL, &err), 0);
    hdrs_add(&h, "X", "a\r\nY: b");
    assert_int_equal(bus_publish(b, "a.b", NULL, &h, "", 0, &err), -1);
    assert_int_equal(err.kind, ERR_INVALID);
    struct got echo = {0};
    bus_echo(b, 20000, on_got, &echo, NULL);
    UNTIL(&loop, 30000, echo.calls);
    assert_int_equal(echo.kind, ERR_NONE); /* the connection lives on */
    free(big);
    hdrs_free(&h);
    bus_delete(b);
}

/* How long it took to delete, ms. */
static uint64_t delete_while_waiting(void) {
    struct bus *b = connect_to(&server, &loop);
    struct got request = {0}, store = {0}, expect = {0};
    struct buf inbox = {0};
    bus_request(b, "nobody.here", NULL, "", 0, 60000, on_got, &request, NULL);
    bus_store(b, "nobody.here", NULL, "", 0, 60000, on_got_puback, &store, NULL);
    bus_expect(b, 60000, on_got, &expect, &inbox);
    uint64_t begin = clock_mono_ms();
    bus_delete(b);
    uint64_t took = clock_mono_ms() - begin;
    assert_int_equal(request.kind, ERR_SHUTDOWN);
    assert_int_equal(store.kind, ERR_SHUTDOWN);
    assert_int_equal(expect.kind, ERR_SHUTDOWN);
    buf_free(&inbox);
    return took;
}

/* libnats would wait for an answer 500 ms, each time; a busy machine may be slow now and then. */
static void test_delete_ends_what_waits(void **state) {
    uint64_t least = UINT64_MAX;
    for (int i = 0; i < 10 && least >= 300; i++) {
        uint64_t took = delete_while_waiting();
        least = took < least ? took : least;
    }
    assert_true(least < 300);
}

static void on_delete_bus(const struct bus_msg *m, const struct err *err, void *arg) {
    bus_delete(arg);
}

static void test_delete_from_inside_a_callback(void **state) {
    struct bus *b = connect_to(&server, &loop);
    struct got after = {0};
    bus_echo(b, 20000, on_delete_bus, b, NULL);
    bus_echo(b, 20000, on_got, &after, NULL);
    UNTIL(&loop, 30000, after.calls);
    assert_int_equal(after.kind, ERR_SHUTDOWN);
}

/* What is published right before the end is sent. */
static void test_delete_sends_the_rest(void **state) {
    struct bus *a = connect_to(&server, &loop), *b = connect_to(&server, &loop);
    struct buf inbox = {0};
    struct got got = {0};
    bus_expect(a, 20000, on_got, &got, &inbox);
    wait_for_inbox(a);
    bus_publish(b, inbox.p, NULL, NULL, "bye", 3, NULL);
    bus_delete(b);
    UNTIL(&loop, 30000, got.calls);
    assert_string_equal(got.text, "bye");
    buf_free(&inbox);
    bus_delete(a);
}

static void on_closed(const struct err *why, void *arg) {
    struct changes *c = arg;
    assert_non_null(strstr(why->msg, "uthorization"));
    c->closed++;
}

static struct bus *connect_watching(const char *url, struct changes *c) {
    struct err err = {0};
    struct bus_options o = {.url = url,
                            .name = "test",
                            .connect_timeout_ms = 20000,
                            .on_change = on_change,
                            .on_closed = on_closed,
                            .arg = c};
    struct bus *b = bus_new(&loop.loop, &o, &err);
    if (!b)
        fail_msg("%s", err.msg);
    return b;
}

static void test_server_restart(void **state) {
    struct natsserver own;
    struct changes c = {0};
    natsserver_start(&own, false, NULL);
    struct bus *b = connect_watching(own.url, &c);
    struct got request = {0}, store = {0}, expect = {0}, echo = {0};
    struct buf inbox = {0};
    bus_echo(b, 20000, on_got, &echo, NULL);
    UNTIL(&loop, 30000, echo.calls);
    testloop_restart(&loop);
    for (int round = 1; round <= 3; round++) {
        memset(&request, 0, sizeof request);
        memset(&store, 0, sizeof store);
        memset(&expect, 0, sizeof expect);
        buf_reset(&inbox);
        bus_request(b, "nobody.here", NULL, "", 0, 20000, on_got, &request, NULL);
        bus_store(b, "nobody.here", NULL, "", 0, 20000, on_got_puback, &store, NULL);
        bus_expect(b, 20000, on_got, &expect, &inbox);
        natsserver_kill(&own);
        UNTIL(&loop, 30000, c.down == round);
        assert_false(bus_up(b));
        assert_int_equal(request.kind, ERR_BUS_DOWN);
        assert_int_equal(store.kind, ERR_BUS_DOWN);
        assert_int_equal(expect.calls, 0); /* somebody may still answer */
        struct err err;
        assert_int_equal(bus_publish(b, "a", NULL, NULL, "", 0, &err), -1);
        assert_int_equal(err.kind, ERR_BUS_DOWN);
        uint64_t later = clock_mono_ms() + 700;
        UNTIL(&loop, 2000, clock_mono_ms() > later);
        natsserver_spawn(&own);
        UNTIL(&loop, 30000, c.up == round);
        assert_true(bus_up(b));
        assert_int_equal(bus_publish(b, inbox.p, NULL, NULL, "still", 5, &err), 0);
        UNTIL(&loop, 30000, expect.calls);
        assert_string_equal(expect.text, "still");
    }
    assert_int_equal(c.closed, 0);
    print_message("largest loop gap over three restarts: %d ms\n", (int)loop.gap_ms);
    assert_true(testloop_ran_on(&loop, 500));
    buf_free(&inbox);
    bus_delete(b);
    natsserver_end(&own);
}

/* How much waits to be read on fd, if it is connected to s. */
static int unread(const struct natsserver *s, int fd) {
    struct sockaddr_in at = {0};
    socklen_t size = sizeof at;
    int n = 0;
    bool ours = getpeername(fd, (struct sockaddr *)&at, &size) == 0 &&
                ntohs(at.sin_port) == atoi(s->port) && ioctl(fd, FIONREAD, &n) == 0;
    return ours ? n : 0;
}

/* Until more bytes than that wait on a connection to s but this one. */
static void wait_for_unread(const struct natsserver *s, int but, int bytes) {
    for (int i = 0; i < 3000; i++, usleep(10000))
        for (int fd = 3; fd < 256; fd++)
            if (fd != but && unread(s, fd) > bytes)
                return;
    fail_msg("nothing came");
}

/* Publishes to the one bus of s, whose loop does not run: it is there, and not read. */
static void publish_unread(const struct natsserver *s, const char *subject, const char *text) {
    char lines[256];
    int speaker = natsproxy_dial(s->port);
    int n = snprintf(lines, sizeof lines, "CONNECT {\"verbose\":false}\r\nPUB %s %zu\r\n%s\r\n",
                     subject, strlen(text), text);
    assert_true(natsproxy_write(speaker, lines, (size_t)n));
    wait_for_unread(s, speaker, (int)strlen(subject));
    close(speaker);
}

/* epoll reports the reset together with what came before it; both must be heard. */
static void test_last_words_before_a_reset(void **state) {
    struct natsserver own;
    struct changes c = {0};
    struct buf inbox = {0};
    struct got last = {0};
    natsserver_start(&own, false, NULL);
    struct bus *b = connect_watching(own.url, &c);
    bus_expect(b, 20000, on_got, &last, &inbox);
    wait_for_inbox(b);
    publish_unread(&own, inbox.p, "last words");
    bus_publish(b, "a", NULL, NULL, "", 0, NULL); /* nobody reads it: answered by a reset */
    natsserver_kill(&own);
    UNTIL(&loop, 30000, c.down);
    assert_int_equal(last.calls, 1);
    assert_string_equal(last.text, "last words");
    natsserver_spawn(&own);
    UNTIL(&loop, 30000, c.up);
    buf_free(&inbox);
    bus_delete(b);
    natsserver_end(&own);
}

/* What was there in time is taken, whenever this process comes to look. */
static void test_an_answer_meets_a_busy_process(void **state) {
    struct bus *b = connect_to(&server, &loop);
    struct got got = {0};
    bus_request(b, "$JS.API.INFO", NULL, "", 0, 300, on_got, &got, NULL);
    uv_run(&loop.loop, UV_RUN_NOWAIT); /* it is sent */
    if (!got.calls)
        wait_for_unread(&server, -1, 0);
    usleep(500000);
    UNTIL(&loop, 30000, got.calls);
    assert_int_equal(got.kind, ERR_NONE);
    bus_delete(b);
}

static void on_bystander(uv_poll_t *p, int status, int events) {
    char c;
    *(ssize_t *)p->data += read(*(int *)((ssize_t *)p->data + 1), &c, 1);
}

/* Its number is free once the connection is lost; who takes it must keep its events. */
static void test_descriptor_is_let_go(void **state) {
    struct natsserver own;
    struct changes c = {0};
    natsserver_start(&own, false, NULL);
    struct bus *b = connect_watching(own.url, &c);
    natsserver_kill(&own);
    UNTIL(&loop, 30000, c.down);
    int pairs[8][2];
    uv_poll_t polls[8];
    struct {
        ssize_t n;
        int fd;
    } seen[8];
    for (int i = 0; i < 8; i++) {
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pairs[i]), 0);
        seen[i].n = 0;
        seen[i].fd = pairs[i][0];
        assert_int_equal(uv_poll_init(&loop.loop, &polls[i], pairs[i][0]), 0);
        polls[i].data = &seen[i];
        uv_poll_start(&polls[i], UV_READABLE, on_bystander);
    }
    natsserver_spawn(&own);
    UNTIL(&loop, 30000, c.up);
    for (int i = 0; i < 8; i++) {
        assert_int_equal(write(pairs[i][1], "x", 1), 1);
        UNTIL(&loop, 30000, seen[i].n == 1);
    }
    for (int i = 0; i < 8; i++) {
        uv_close((uv_handle_t *)&polls[i], NULL);
        close(pairs[i][0]);
        close(pairs[i][1]);
    }
    bus_delete(b);
    natsserver_end(&own);
    uv_run(&loop.loop, UV_RUN_NOWAIT); /* polls is on this stack */
}

static void test_delete_while_down(void **state) {
    struct natsserver own;
    struct changes c = {0};
    natsserver_start(&own, false, NULL);
    struct bus *b = connect_watching(own.url, &c);
    natsserver_kill(&own);
    UNTIL(&loop, 30000, c.down);
    bus_delete(b);
    natsserver_end(&own);
}

static void test_credentials_changed(void **state) {
    struct natsserver own;
    struct changes c = {0};
    natsserver_start(&own, false, "first");
    char url[256];
    snprintf(url, sizeof url, "nats://first@%s", own.url + strlen("nats://"));
    struct bus *b = connect_watching(url, &c);
    natsserver_kill(&own);
    own.extra[0] = "--auth=second";
    natsserver_spawn(&own);
    UNTIL(&loop, 10000, c.closed);
    assert_false(bus_up(b));
    bus_delete(b);
    natsserver_end(&own);
}

static void refused(const char *url, enum err_kind kind, const char *says) {
    struct err err = {0};
    struct bus_options o = {.url = url, .name = "test", .connect_timeout_ms = 20000};
    assert_null(bus_new(&loop.loop, &o, &err));
    if (!strstr(err.msg, says))
        fail_msg("expected '%s' in: %s", says, err.msg);
    assert_int_equal(err.kind, kind);
    assert_null(strstr(err.msg, "secret"));
    assert_null(strchr(err.msg, '\n'));
}

static void test_connect_errors(void **state) {
    refused("nats://127.0.0.1:1", ERR_BUS_DOWN, "is nats-server running there?");
    refused("nats://u:secret@127.0.0.1:1,nats://secret@127.0.0.1:2", ERR_BUS_DOWN,
            "127.0.0.1:1, 127.0.0.1:2");
    refused("nats://u:secret,secret@127.0.0.1:1", ERR_CONFIG, "127.0.0.1:1"); /* two URLs to NATS */
    refused("secret@127.0.0.1:1", ERR_BUS_DOWN, "127.0.0.1:1");
    refused("", ERR_CONFIG, "nats://");
    refused("tls://secret@127.0.0.1:1", ERR_BUS_DOWN, "is nats-server running there?");
    struct natsserver own;
    natsserver_start(&own, false, "right");
    char url[256];
    snprintf(url, sizeof url, "nats://secret@%s", own.url + strlen("nats://"));
    refused(url, ERR_CONFIG, "refused the credentials");
    refused(own.url, ERR_CONFIG, "refused the credentials");
    natsserver_end(&own);
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
    const struct CMUnitTest tests[] = {
        T(test_reply_through_own_inbox),   T(test_request),
        T(test_headers_survive),           T(test_timeouts_come_in_order),
        T(test_request_nobody_answers),    T(test_refuses_what_the_server_would_close_for),
        T(test_delete_ends_what_waits),    T(test_delete_from_inside_a_callback),
        T(test_delete_sends_the_rest),     T(test_server_restart),
        T(test_last_words_before_a_reset), T(test_an_answer_meets_a_busy_process),
        T(test_descriptor_is_let_go),      T(test_delete_while_down),
        T(test_credentials_changed),       T(test_connect_errors),
    };
    return cmocka_run_group_tests(tests, start, end);
}
