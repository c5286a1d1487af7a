/* SPDX-License-Identifier: MIT */
/* When was the oldest message stored that somebody may still be given? Against a real nats-server.
 */
#include "streamtest.h"

#define NONE INT64_MAX
#define MOST 400

static char about[64]; /* this test's namespace */

static int set_up_namespace(void **state) {
    set_up(state);
    snprintf(about, sizeof about, "rbf namespace of_%s", names[0]);
    spec.description = about;
    return 0;
}

struct answer {
    int calls, streams;
    int64_t ms; /* the oldest of all */
    int64_t first_seq;
    struct err err;
};

static void on_oldest(const struct stream_age *ages, int n, const struct err *err, void *arg) {
    struct answer *a = arg;
    a->calls++;
    a->streams = n;
    a->ms = NONE;
    for (int i = 0; i < n; i++) {
        a->ms = ages[i].oldest_ms < a->ms ? ages[i].oldest_ms : a->ms;
        a->first_seq = ages[i].first_seq;
    }
    if (err)
        a->err = *err;
}

static struct answer ask(const char *name) {
    struct answer a = {0};
    const char *const more[] = {name, NULL};
    assert_int_equal(stream_oldest(bus, about, more, on_oldest, &a), 0);
    UNTIL(&loop, 10000, a.calls);
    return a;
}

static int64_t oldest(void) {
    struct answer a = ask(NULL);
    if (a.err.kind)
        fail_msg("%s", a.err.msg);
    return a.ms;
}

static void pass(int ms) {
    uint64_t end = clock_mono_ms() + (uint64_t)ms;
    UNTIL(&loop, ms + 1000, clock_mono_ms() >= end);
}

/* Stores message number i, apart from those before; when that was, within [from, to]. */
struct moment {
    int64_t from, to;
};

static struct moment store_one(int i) {
    struct moment m;
    pass(3);
    m.from = clock_wall_ms();
    store(i, i + 1);
    m.to = clock_wall_ms();
    return m;
}

static void assert_at(int64_t ms, struct moment m) {
    if (ms < m.from || ms > m.to)
        fail_msg("%lld is not within %lld and %lld", (long long)ms, (long long)m.from,
                 (long long)m.to);
}

/* --- taking messages --- */

static struct {
    struct pull *pull;
    int n;
    char reply[MOST][160];
} taken;

static void on_msg(struct pull *p, struct bus_msg *m, void *arg) {
    assert_true(taken.n < MOST);
    snprintf(taken.reply[taken.n++], sizeof taken.reply[0], "%s", m->reply);
    bus_msg_delete(m);
}

static void on_gone(struct pull *p, const struct err *err, void *arg) {
    fail_msg("%s", err->msg);
}

/* n more, which nobody acks yet. */
static void take(const char *consumer, int n) {
    int all = taken.n + n;
    struct pull *p = pull_new(bus, spec.stream, consumer, on_msg, on_gone, NULL);
    pull_want(p, n);
    UNTIL(&loop, 30000, taken.n == all);
    pull_delete(p);
}

/* As a request: the server answers once it is done. */
static void ack(int i) {
    struct got got = {0};
    assert_true(bus_request(bus, taken.reply[i], NULL, "+ACK", 4, 20000, on_got, &got, NULL));
    UNTIL(&loop, 30000, got.calls);
    assert_int_equal(got.kind, ERR_NONE);
}

static void restart_server(void) {
    natsserver_kill(&server);
    UNTIL(&loop, 10000, !bus_up(bus));
    natsserver_up(&server);
    UNTIL(&loop, 10000, bus_up(bus));
}

static int tear_down_taken(void **state) {
    memset(&taken, 0, sizeof taken);
    return tear_down(state);
}

/* --- tests --- */

static void test_empty(void **state) {
    assert_true(oldest() == NONE);
    ensure();
    assert_true(oldest() == NONE);
}

static void test_first_not_acked(void **state) {
    struct moment at[3];
    ensure();
    for (int i = 0; i < 3; i++)
        at[i] = store_one(i);
    assert_at(oldest(), at[0]);
    take(spec.consumer, 3); /* delivered, not acked */
    assert_at(oldest(), at[0]);
    ack(1); /* out of order */
    assert_at(oldest(), at[0]);
    assert_int_equal(ask(NULL).first_seq, 1);
    ack(0);
    assert_at(oldest(), at[2]);
    assert_int_equal(ask(NULL).first_seq, 3);
    ack(2);
    struct answer a = ask(NULL);
    assert_true(a.ms == NONE);
    assert_int_equal(a.streams, 1);
    assert_int_equal(a.first_seq, 4);
}

static void make_stream(const char *name, const char *retention, const char *storage,
                        const char *description, json_t *subjects) {
    api_ok("STREAM.CREATE", name, NULL,
           json_pack("{s:s, s:s, s:s, s:s, s:o}", "name", name, "retention", retention, "storage",
                     storage, "description", description, "subjects", subjects));
}

static void make_consumer(const char *stream, const char *name, const char *filter) {
    api_ok("CONSUMER.DURABLE.CREATE", stream, name,
           json_pack("{s:s, s:{s:s, s:s, s:s*}}", "stream_name", stream, "config", "durable_name",
                     name, "ack_policy", "explicit", "filter_subject", filter));
}

/* A stream of limits keeps what is acked, as a work queue does that was killed at a bad moment. */
static void test_acked_but_still_stored(void **state) {
    make_stream(spec.stream, "limits", "file", about, json_pack("[s]", spec.subjects));
    make_consumer(spec.stream, spec.consumer, spec.subjects);
    for (int i = 0; i < 3; i++)
        store_one(i);
    take(spec.consumer, 3);
    for (int i = 0; i < 3; i++)
        ack(i);
    assert_int_equal(stored(), 3);
    assert_true(oldest() == NONE);
    struct moment at = store_one(3);
    assert_at(oldest(), at);
    take(spec.consumer, 1);
    assert_at(oldest(), at);
}

static void test_whose_stream(void **state) {
    make_stream(spec.stream, "workqueue", "memory", "made by hand",
                json_pack("[s]", spec.subjects));
    make_consumer(spec.stream, spec.consumer, NULL);
    struct moment at = store_one(0);
    assert_true(oldest() == NONE);
    struct answer a = ask(spec.stream);
    assert_int_equal(a.err.kind, ERR_NONE);
    assert_at(a.ms, at);
    a = ask("No_such_stream");
    assert_int_equal(a.err.kind, ERR_NONE);
    assert_true(a.ms == NONE);
}

/* What nobody consumes yet waits for somebody who will. */
static void test_without_consumer(void **state) {
    char other[48];
    snprintf(other, sizeof other, "other.%s.>", names[0]);
    make_stream(spec.stream, "workqueue", "memory", about,
                json_pack("[s, s]", spec.subjects, other));
    struct moment at = store_one(0);
    assert_at(oldest(), at);
    make_consumer(spec.stream, "Other", other);
    assert_at(oldest(), at);
    make_consumer(spec.stream, spec.consumer, spec.subjects);
    assert_at(oldest(), at);
    take(spec.consumer, 1);
    ack(0);
    assert_true(oldest() == NONE);
}

/* Each consumer has a floor of its own: an idle one holds nothing up once the others' are gone. */
static void test_two_consumers(void **state) {
    char subjects[2][48], subject[48];
    int done = 0;
    for (int i = 0; i < 2; i++)
        snprintf(subjects[i], sizeof subjects[i], "%c.%s.>", "ab"[i], names[0]);
    make_stream(spec.stream, "workqueue", "memory", about,
                json_pack("[s, s]", subjects[0], subjects[1]));
    make_consumer(spec.stream, "A", subjects[0]);
    make_consumer(spec.stream, "B", subjects[1]);
    for (int i = 0; i < 3; i++) {
        snprintf(subject, sizeof subject, "a.%s.x", names[0]);
        bus_store(bus, subject, NULL, "1", 1, 20000, on_stored, &done, NULL);
        UNTIL(&loop, 30000, done == i + 1);
    }
    take("A", 3);
    for (int i = 0; i < 3; i++)
        ack(i);
    assert_true(oldest() == NONE);
    pass(3);
    struct moment at = {clock_wall_ms(), 0};
    snprintf(subject, sizeof subject, "b.%s.x", names[0]);
    bus_store(bus, subject, NULL, "1", 1, 20000, on_stored, &done, NULL);
    UNTIL(&loop, 30000, done == 4);
    at.to = clock_wall_ms();
    assert_at(oldest(), at);
    take("B", 1);
    ack(3);
    assert_true(oldest() == NONE);
}

/* More than one page of STREAM.LIST, and ours is in the second. */
static void test_many_streams(void **state) {
    char name[32], subject[32];
    snprintf(names[0], sizeof names[0], "ZZ_last");
    ensure();
    for (int i = 0; i < 300; i++) {
        snprintf(name, sizeof name, "P%d", i);
        snprintf(subject, sizeof subject, "p%d", i);
        make_stream(name, "workqueue", "memory", "not ours", json_pack("[s]", subject));
    }
    assert_true(oldest() == NONE);
    struct moment at = store_one(0);
    assert_at(oldest(), at);
    for (int i = 0; i < 300; i++) {
        snprintf(name, sizeof name, "P%d", i);
        api_ok("STREAM.DELETE", name, NULL, NULL);
    }
}

/* Whatever is acked when the server dies: it never says less than what may still be delivered. */
static void test_after_a_crash(void **state) {
    struct moment at[20];
    ensure();
    for (int i = 0; i < 20; i++)
        at[i] = store_one(i);
    take(spec.consumer, 20);
    for (int i = 0; i < 20; i++)
        if (i != 7)
            ack(i);
    assert_at(oldest(), at[7]);
    restart_server();
    int64_t ms = oldest();
    assert_true(ms >= at[0].from && ms <= at[7].to);
}

static void test_away(void **state) {
    struct answer a = {0};
    const char *const more[] = {NULL};
    assert_int_equal(stream_oldest(bus, about, more, on_oldest, &a), 0);
    natsserver_kill(&server);
    UNTIL(&loop, 10000, a.calls && !bus_up(bus));
    if (a.err.kind == ERR_NONE)
        assert_true(a.ms == NONE); /* the answer was faster */
    a.calls = 0;
    assert_int_equal(stream_oldest(bus, about, more, on_oldest, &a), -1);
    natsserver_up(&server);
    UNTIL(&loop, 10000, bus_up(bus));
    assert_int_equal(a.calls, 0);
}

#undef T
#define T(f) cmocka_unit_test_setup_teardown(f, set_up_namespace, tear_down_taken)

int main(void) {
    const struct CMUnitTest tests[] = {
        T(test_empty),        T(test_first_not_acked),  T(test_acked_but_still_stored),
        T(test_whose_stream), T(test_without_consumer), T(test_two_consumers),
        T(test_many_streams), T(test_after_a_crash),    T(test_away),
    };
    return cmocka_run_group_tests(tests, start, end);
}
