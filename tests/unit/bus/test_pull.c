/* SPDX-License-Identifier: MIT */
/* Storing and pulling, against a real nats-server. */
#include "../base/logcapture.h"
#include "base/log.h"
#include "streamtest.h"

/* A consumer of messages that says one word to each, or nothing. */
struct taker {
    struct pull *pull;
    const char *word;
    int slots;      /* wants this many again after each message; 0: leaves it as it is */
    int n, max_out; /* messages, most outstanding */
    int seen[4096], last;
    uint64_t delivered; /* of the last message */
    uint64_t again;     /* messages that were delivered before */
    char reply[256];    /* of the last message */
    int gone;
    char why[1000];
};

static void on_msg(struct pull *p, struct bus_msg *m, void *arg) {
    struct taker *t = arg;
    struct ack_subject ack;
    assert_int_equal(ack_subject_parse(m->reply, &ack), 0);
    assert_string_equal(ack.stream, spec.stream);
    assert_int_equal(m->status, 0);
    assert_string_equal(hdrs_get(&m->hdrs, "request-id"), m->data);
    t->n++;
    t->last = atoi(m->data);
    t->seen[t->last]++;
    t->delivered = ack.delivered;
    t->again += ack.delivered > 1;
    snprintf(t->reply, sizeof t->reply, "%s", m->reply);
    if (t->word)
        bus_ack(bus, m->reply, t->word);
    bus_msg_delete(m);
    if (t->slots)
        pull_want(p, t->slots);
    if (pull_outstanding(p) > t->max_out)
        t->max_out = pull_outstanding(p);
}

static void on_gone(struct pull *p, const struct err *err, void *arg) {
    struct taker *t = arg;
    t->gone++;
    snprintf(t->why, sizeof t->why, "%s", err->msg);
}

static struct taker *taker_new(const char *word) {
    struct taker *t = calloc(1, sizeof *t);
    t->word = word;
    t->pull = pull_new(bus, spec.stream, spec.consumer, on_msg, on_gone, t);
    return t;
}

static void taker_delete(struct taker *t) {
    pull_delete(t->pull);
    free(t);
}

static void pass(int ms) {
    uint64_t end = clock_mono_ms() + (uint64_t)ms;
    UNTIL(&loop, ms + 1000, clock_mono_ms() >= end);
}

static void sync_with_server(void) {
    struct got echo = {0};
    bus_echo(bus, 20000, on_got, &echo, NULL);
    UNTIL(&loop, 30000, echo.calls);
}

/* Storing */

static void test_store(void **state) {
    ensure();
    struct got first = {0}, again = {0};
    struct hdrs h = {0};
    char subject[48];
    subject_of(1, subject);
    hdrs_add(&h, "Nats-Msg-Id", "one");
    bus_store(bus, subject, &h, "1", 1, 20000, on_got_puback, &first, NULL);
    bus_store(bus, subject, &h, "1", 1, 20000, on_got_puback, &again, NULL);
    UNTIL(&loop, 30000, first.calls && again.calls);
    assert_int_equal(first.kind, ERR_NONE);
    assert_false(first.duplicate);
    assert_int_equal(again.kind, ERR_NONE);
    assert_true(again.duplicate);
    assert_int_equal(stored(), 1);
    hdrs_free(&h);
}

static void test_store_in_no_stream(void **state) {
    struct got got = {0};
    bus_store(bus, "no.stream.here", NULL, "1", 1, 200, on_got_puback, &got, NULL);
    UNTIL(&loop, 30000, got.calls);
    assert_int_equal(got.kind, ERR_TIMEOUT);
    assert_non_null(strstr(got.text, "no.stream.here"));
}

static void test_store_refused(void **state) {
    ensure();
    struct got got = {0};
    struct hdrs h = {0};
    char subject[48];
    subject_of(1, subject);
    hdrs_add(&h, "Nats-Expected-Stream", "other");
    bus_store(bus, subject, &h, "1", 1, 20000, on_got_puback, &got, NULL);
    UNTIL(&loop, 30000, got.calls);
    assert_int_equal(got.kind, ERR_BUS);
    assert_non_null(strstr(got.text, "expected stream does not match"));
    hdrs_free(&h);
}

/* Pulling */

static void test_pull_many(void **state) {
    ensure();
    store(0, 1000);
    struct taker *t = taker_new("+ACK");
    t->slots = 64;
    pull_want(t->pull, 64);
    assert_int_equal(pull_outstanding(t->pull), 64);
    UNTIL(&loop, 10000, t->n == 1000);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(t->seen[i], 1);
    assert_true(t->max_out <= 64);
    sync_with_server();
    UNTIL(&loop, 30000, stored() == 0);
    taker_delete(t);
}

static void test_never_more_than_wanted(void **state) {
    ensure();
    store(0, 100);
    struct taker *t = taker_new(NULL);
    pull_want(t->pull, 10);
    UNTIL(&loop, 30000, t->n == 10);
    pass(100);
    assert_int_equal(t->n, 10);
    assert_int_equal(pull_outstanding(t->pull), 0);
    pull_want(t->pull, 5);
    pull_want(t->pull, 3); /* lowering sends nothing */
    UNTIL(&loop, 30000, t->n == 15);
    pass(100);
    assert_int_equal(t->n, 15);
    for (int want = 1; want <= 40; want++) { /* slots come free one by one */
        pull_want(t->pull, want);
        assert_true(pull_outstanding(t->pull) <= want);
    }
    UNTIL(&loop, 30000, t->n == 55 || pull_outstanding(t->pull) == 0);
    assert_true(t->n <= 55 && t->n > 15);
    taker_delete(t);
}

/* Slots that come free one by one do not make a request each. */
static void test_few_requests(void **state) {
    ensure();
    struct taker *t = taker_new(NULL);
    for (int want = 1; want <= 64; want++) {
        pull_want(t->pull, want);
        assert_true(pull_outstanding(t->pull) * 2 >= want);
    }
    json_t *info = api("CONSUMER.INFO", spec.stream, spec.consumer, NULL);
    json_int_t waiting = json_integer_value(json_object_get(info, "num_waiting"));
    json_decref(info);
    assert_true(waiting >= 1 && waiting <= 7);
    taker_delete(t);
}

static void test_nothing_waits_for_its_turn(void **state) {
    ensure();
    struct taker *t = taker_new("+ACK");
    pull_want(t->pull, 8);
    sync_with_server();
    store(0, 1); /* comes to a pull that is waiting */
    UNTIL(&loop, 2000, t->n == 1);
    taker_delete(t);
}

static void test_nak_gives_it_again(void **state) {
    ensure();
    store(7, 8);
    struct taker *t = taker_new("-NAK");
    pull_want(t->pull, 1);
    UNTIL(&loop, 30000, t->n == 1);
    assert_int_equal(t->delivered, 1);
    pull_want(t->pull, 1);
    UNTIL(&loop, 30000, t->n == 2);
    assert_int_equal(t->delivered, 2);
    t->word = "-NAK {\"delay\":300000000}";
    pull_want(t->pull, 1);
    UNTIL(&loop, 30000, t->n == 3);
    uint64_t begin = clock_mono_ms();
    t->word = "+TERM";
    pull_want(t->pull, 1);
    UNTIL(&loop, 30000, t->n == 4);
    assert_true(clock_mono_ms() - begin >= 250);
    assert_int_equal(t->delivered, 4);
    sync_with_server();
    UNTIL(&loop, 30000, stored() == 0);
    taker_delete(t);
}

static void test_ack_wait_and_progress(void **state) {
    uint64_t begin = 0;
    spec.ack_wait_ms = 3000; /* a pause of 2.5 s is forgiven */
    ensure();
    store(1, 2);
    struct taker *t = taker_new(NULL);
    pull_want(t->pull, 2);
    UNTIL(&loop, 30000, t->n == 1);
    for (int i = 0; i < 7; i++) { /* 3.5 s in all */
        pass(500);
        begin = clock_mono_ms();
        bus_ack(bus, t->reply, "+WPI");
    }
    assert_int_equal(t->n, 1);
    UNTIL(&loop, 30000, t->n == 2);
    assert_true(clock_mono_ms() - begin > 1500);
    assert_int_equal(t->delivered, 2);
    taker_delete(t);
}

static void test_deleted_pull_gives_back(void **state) {
    ensure();
    struct taker *t = taker_new(NULL);
    pull_want(t->pull, 10);
    sync_with_server();
    taker_delete(t);
    store(1, 6); /* go to the pull that is no more, and come back at once */
    t = taker_new("+ACK");
    pull_want(t->pull, 10);
    UNTIL(&loop, 30000, t->n == 5);
    taker_delete(t);
}

static void test_two_pulls_share(void **state) {
    ensure();
    struct taker *a = taker_new("+ACK");
    struct bus *first = bus;
    struct bus *second = connect_to(&server, &loop);
    bus = second;
    struct taker *b = taker_new("+ACK");
    pull_want(a->pull, 100);
    pull_want(b->pull, 100);
    sync_with_server();
    bus = first;
    sync_with_server();
    store(0, 150);
    UNTIL(&loop, 30000, a->n + b->n == 150);
    assert_true(a->n > 40 && b->n > 40);
    assert_int_equal(pull_outstanding(a->pull), 100 - a->n);
    taker_delete(a);
    taker_delete(b);
    bus_delete(second);
}

/* The server gives to the other what it had promised this connection, at once and as new. */
static void test_ended_pulls_leave_nothing(void **state) {
    ensure();
    struct taker *a = taker_new("+ACK");
    struct bus *first = bus, *second = connect_to(&server, &loop);
    pull_want(a->pull, 100);
    sync_with_server();
    pulls_end(first);
    sync_with_server();
    bus = second;
    struct taker *b = taker_new("+ACK");
    pull_want(b->pull, 100);
    store(0, 100);
    UNTIL(&loop, 30000, b->n == 100);
    assert_int_equal(a->n, 0);
    assert_int_equal(b->again, 0);
    UNTIL(&loop, 30000, stored() == 0);
    taker_delete(a);
    taker_delete(b);
    bus = first;
    bus_delete(second);
}

static void test_consumer_deleted(void **state) {
    ensure();
    struct taker *t = taker_new("+ACK");
    t->slots = 10;
    pull_want(t->pull, 10);
    sync_with_server();
    api_ok("CONSUMER.DELETE", spec.stream, spec.consumer, NULL);
    UNTIL(&loop, 30000, t->gone);
    assert_non_null(strstr(t->why, spec.consumer));
    assert_int_equal(pull_outstanding(t->pull), 0);
    pull_want(t->pull, 10); /* asks nobody */
    assert_int_equal(pull_outstanding(t->pull), 0);
    ensure();
    pull_resume(t->pull);
    store(0, 20);
    UNTIL(&loop, 30000, t->n == 20);
    assert_int_equal(t->gone, 1);
    taker_delete(t);
}

/* The server says nothing to a pull from a consumer that is missing already. */
static void test_consumer_missing(void **state) {
    ensure();
    api_ok("CONSUMER.DELETE", spec.stream, spec.consumer, NULL);
    struct taker *t = taker_new("+ACK");
    pull_want(t->pull, 10);
    UNTIL(&loop, 30000, t->gone);
    taker_delete(t);
}

/* Heartbeats keep it alive for longer than the silence that is allowed, and an expired request is
 * made anew. */
static void test_idle_pull_lives(void **state) {
    ensure();
    struct taker *t = taker_new("+ACK");
    pull_want(t->pull, 10);
    store(0, 8); /* one request is left with two to come */
    UNTIL(&loop, 30000, t->n == 8);
    pull_want(t->pull, 10); /* and a second one has eight */
    assert_int_equal(pull_outstanding(t->pull), 10);
    pass(3700); /* longer than a request, and than the silence that is allowed */
    assert_int_equal(t->gone, 0);
    assert_int_equal(pull_outstanding(t->pull), 10);
    store(8, 18);
    UNTIL(&loop, 30000, t->n == 18);
    assert_int_equal(pull_outstanding(t->pull), 0);
    taker_delete(t);
}

static bool is_younger(uint64_t asked_ms) {
    return clock_mono_ms() - asked_ms < (uint64_t)pull_times.expires_ms;
}

/* Is all there before the second of two requests expires? */
static bool served_in_turn(struct taker *t) {
    ensure();
    uint64_t first = clock_mono_ms();
    pull_want(t->pull, 10);
    pass(1500);
    uint64_t second = clock_mono_ms();
    pull_want(t->pull, 25);
    assert_int_equal(pull_outstanding(t->pull), 25);
    store(0, 10);
    UNTIL(&loop, 30000, t->n == 10);
    if (!is_younger(first))
        return false;
    assert_int_equal(pull_outstanding(t->pull), 15);
    UNTIL(&loop, 30000, clock_mono_ms() > first + (uint64_t)pull_times.expires_ms + 300);
    store(10, 25);
    UNTIL(&loop, 30000, t->n == 25);
    return is_younger(second);
}

/* The server serves two requests in turn. When the first expires it tells how many it did not
 * deliver; were that not believed, ours would seem to bring more than the server will send, until
 * the second expires, too. A busy machine may be too slow to show it now and then. */
static void test_requests_served_in_turn(void **state) {
    bool shown = false;
    for (int i = 0; i < 5 && !shown; i++) {
        if (i > 0) { /* on a stream of its own, like each test */
            tear_down(state);
            set_up(state);
        }
        struct taker *t = taker_new("+ACK");
        shown = served_in_turn(t);
        taker_delete(t);
    }
    assert_true(shown);
}

/* It comes back without the consumer, and is asked for it before silence tells. */
static void test_server_dies_while_pulling(void **state) {
    struct natsserver own;
    struct changes c = {0};
    struct err err = {0};
    struct pull_times before = pull_times;
    pull_times.silence_ms = 60000;
    struct bus *outer = bus;
    natsserver_start(&own, true, NULL);
    struct bus_options o = {
        .url = own.url, .connect_timeout_ms = 20000, .on_change = on_change, .arg = &c};
    bus = bus_new(&loop.loop, &o, &err);
    assert_non_null(bus);
    spec.ack_wait_ms = 1000;
    ensure();
    store(0, 500);
    struct taker *t = taker_new(NULL);
    pull_want(t->pull, 600);
    UNTIL(&loop, 30000, t->n >= 500); /* more when ack_wait has passed */
    assert_int_equal(pull_outstanding(t->pull), 600 - t->n);
    testloop_restart(&loop);
    natsserver_kill(&own);
    UNTIL(&loop, 30000, c.down == 1);
    assert_int_equal(pull_outstanding(t->pull), 0);
    t->word = "+ACK";
    t->slots = 200;
    pull_want(t->pull, 200);
    pass(600);
    natsserver_spawn(&own);
    UNTIL(&loop, 30000, c.up == 1);
    for (int i = 0; i < 500; i++)
        t->seen[i] = 0;
    UNTIL(&loop, 20000, t->gone);
    assert_int_equal(pull_outstanding(t->pull), 0);
    ensure();
    pull_resume(t->pull);
    UNTIL(&loop, 20000, stored() == 0);
    for (int i = 0; i < 500; i++)
        assert_true(t->seen[i] >= 1);
    print_message("largest loop gap over the restart: %d ms\n", (int)loop.gap_ms);
    assert_true(testloop_ran_on(&loop, 500));
    assert_int_equal(t->gone, 1);
    taker_delete(t);
    bus_delete(bus);
    natsserver_end(&own);
    bus = outer;
    pull_times = before;
}

/* A server that is stopped, not dead: no packet says so. */
static void test_frozen_server(void **state) {
    struct natsserver own;
    struct changes c = {0};
    struct err err = {0};
    struct bus *outer = bus;
    natsserver_start(&own, true, NULL);
    struct bus_options o = {
        .url = own.url, .connect_timeout_ms = 500, .on_change = on_change, .arg = &c};
    bus = NULL;
    for (int i = 0; i < 20 && !bus; i++) /* so short for what comes below */
        bus = bus_new(&loop.loop, &o, &err);
    assert_non_null(bus);
    ensure();
    struct taker *t = taker_new("+ACK");
    pull_want(t->pull, 5);
    sync_with_server();
    kill(own.pid, SIGSTOP);
    testloop_restart(&loop);
    UNTIL(&loop, 15000, c.down == 1);
    pass(1500); /* connects, and waits for an answer, in vain */
    assert_false(bus_up(bus));
    kill(own.pid, SIGCONT);
    UNTIL(&loop, 30000, c.up == 1);
    assert_true(testloop_ran_on(&loop, 500));
    store(0, 5);
    UNTIL(&loop, 30000, t->n == 5);
    taker_delete(t);
    bus_delete(bus);
    natsserver_end(&own);
    bus = outer;
}

/* Workers that start at once make stream and consumer, and each is given its share (stream.c says
 * what can go wrong). To see that it could go wrong takes some 1,500 rounds (RBF_ROUNDS) beside
 * busy programs. */
static void test_pulls_after_a_start_at_once(void **state) {
    enum { N = 4 };
    const char *given = getenv("RBF_ROUNDS");
    struct bus *outer = bus, *buses[N];
    struct taker *takers[N];
    for (int i = 0; i < N; i++)
        buses[i] = connect_to(&server, &loop);
    for (int round = 0; round < (given ? atoi(given) : 25); round++) {
        char stream[32];
        struct got got[N] = {0};
        snprintf(stream, sizeof stream, "round%d", round);
        spec.stream = stream;
        for (int i = 0; i < N; i++)
            stream_ensure(buses[i], &spec, on_got_stream, &got[i]);
        for (int i = 0; i < N; i++) {
            UNTIL(&loop, 30000, got[i].calls);
            assert_string_equal(got[i].text, "");
            bus = buses[i];
            takers[i] = taker_new("+ACK");
            pull_want(takers[i]->pull, 1);
        }
        store(0, N);
        for (int i = 0; i < N; i++)
            UNTIL(&loop, 10000, takers[i]->n == 1);
        for (int i = 0; i < N; i++)
            taker_delete(takers[i]);
        api_ok("STREAM.DELETE", stream, NULL, NULL);
    }
    bus = outer;
    for (int i = 0; i < N; i++)
        bus_delete(buses[i]);
}

/* As one whose stream was not whole yet when it was made (see stream.c): here this user may not
 * hear what pulls bring. */
static void test_deaf_consumer_is_told(void **state) {
    struct natsserver own;
    struct bus *outer = bus;
    struct buf log = {0};
    natsserver_start_limited(&own, "subscribe: {deny: \"_INBOX.*.p.>\"}");
    bus = connect_to(&own, &loop);
    ensure();
    store(0, 5);
    log_set_format("json");
    log_capture();
    struct taker *t = taker_new("+ACK");
    pull_want(t->pull, 5);
    pass(pull_times.silence_ms * 5);
    log_captured(&log);
    assert_int_equal(t->n, 0);
    const char *told = strstr(log.p, "gives neither messages nor heartbeats");
    if (!told || strstr(told + 1, "gives neither") || !strstr(told, spec.stream))
        fail_msg("to be told once of %s: %s", spec.stream, log.p);
    taker_delete(t);
    bus_delete(bus);
    natsserver_end(&own);
    buf_free(&log);
    bus = outer;
}

/* Longer than the silence that is allowed, of this process or of the server: requests live on. */
static void freeze_and_store(bool server_too) {
    ensure();
    struct taker *t = taker_new(NULL);
    pull_want(t->pull, 1);
    sync_with_server();
    if (server_too) {
        kill(server.pid, SIGSTOP);
        pass(pull_times.silence_ms * 2);
        kill(server.pid, SIGCONT);
    } else {
        usleep((useconds_t)pull_times.silence_ms * 1500);
    }
    pass(150);
    store(0, 4);
    UNTIL(&loop, 30000, t->n > 0);
    pass(200);
    assert_int_equal(t->n, 1);
    assert_int_equal(t->gone, 0);
    taker_delete(t);
}

static void test_never_more_than_wanted_after_a_pause(void **state) {
    freeze_and_store(false);
}

static void test_never_more_than_wanted_after_the_servers_pause(void **state) {
    freeze_and_store(true);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        T(test_store),
        T(test_store_in_no_stream),
        T(test_store_refused),
        T(test_pull_many),
        T(test_never_more_than_wanted),
        T(test_few_requests),
        T(test_nothing_waits_for_its_turn),
        T(test_nak_gives_it_again),
        T(test_ack_wait_and_progress),
        T(test_deleted_pull_gives_back),
        T(test_two_pulls_share),
        T(test_ended_pulls_leave_nothing),
        T(test_consumer_deleted),
        T(test_consumer_missing),
        T(test_idle_pull_lives),
        T(test_requests_served_in_turn),
        T(test_server_dies_while_pulling),
        T(test_frozen_server),
        T(test_pulls_after_a_start_at_once),
        T(test_deaf_consumer_is_told),
        T(test_never_more_than_wanted_after_a_pause),
        T(test_never_more_than_wanted_after_the_servers_pause),
    };
    return cmocka_run_group_tests(tests, start, end);
}
