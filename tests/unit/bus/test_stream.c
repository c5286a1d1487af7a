/* SPDX-License-Identifier: MIT */
/* Making and checking streams and consumers, against a real nats-server. */
#include "streamtest.h"

static void test_ensure_twice(void **state) {
    ensure();
    ensure();
    json_t *info = api("STREAM.INFO", spec.stream, NULL, NULL);
    json_t *config = json_object_get(info, "config");
    assert_string_equal(json_string_value(json_object_get(config, "retention")), "workqueue");
    assert_string_equal(json_string_value(json_object_get(config, "storage")), "file");
    assert_string_equal(json_string_value(json_object_get(config, "description")),
                        spec.description);
    assert_true(json_integer_value(json_object_get(config, "duplicate_window")) == 120000000000);
    json_decref(info);
    assert_true(config_of("CONSUMER.INFO", spec.consumer, "ack_wait") == 30000000000);
    assert_int_equal(config_of("CONSUMER.INFO", spec.consumer, "max_ack_pending"), 5000);
    assert_int_equal(config_of("CONSUMER.INFO", spec.consumer, "max_deliver"), -1);
    assert_int_equal(config_of("CONSUMER.INFO", spec.consumer, "max_waiting"), 512);
}

/* The reasons are at consumer_config_new. */
static void check_consumer(bool in_memory, const char *filter) {
    json_t *info = api("CONSUMER.INFO", spec.stream, spec.consumer, NULL);
    const json_t *config = json_object_get(info, "config");
    const json_t *found = json_object_get(config, "filter_subject");
    assert_int_equal(json_is_true(json_object_get(config, "mem_storage")), in_memory);
    assert_int_equal(found != NULL, filter != NULL);
    if (filter)
        assert_string_equal(json_string_value(found), filter);
    json_decref(info);
}

static void test_ensure_in_a_stream_of_its_own(void **state) {
    ensure();
    check_consumer(true, NULL);
}

static void test_ensure_in_a_shared_stream(void **state) {
    char other[32], name[32];
    spec.shared = true;
    ensure(); /* before the other queue */
    check_consumer(false, spec.subjects);
    snprintf(other, sizeof other, "x%s", spec.subjects);
    snprintf(name, sizeof name, "x%s", spec.consumer);
    spec.subjects = other;
    spec.consumer = name;
    ensure();
    check_consumer(false, other);
}

/* A queue that was alone in its stream gets company: its consumer is made anew. */
static void test_ensure_when_a_stream_becomes_shared(void **state) {
    struct stream_spec other = spec;
    char subjects[32], name[32];
    struct got mine = {0}, theirs = {0};
    ensure();
    store(0, 1);
    snprintf(subjects, sizeof subjects, "x%s", spec.subjects);
    snprintf(name, sizeof name, "x%s", spec.consumer);
    other.subjects = subjects;
    other.consumer = name;
    other.shared = spec.shared = true;
    stream_ensure(bus, &other, on_got_stream, &theirs);
    stream_ensure(bus, &spec, on_got_stream, &mine);
    UNTIL(&loop, 30000, mine.calls && theirs.calls);
    assert_string_equal(mine.text, "");
    assert_string_equal(theirs.text, "");
    check_consumer(false, spec.subjects);
    assert_int_equal(stored(), 1);
    spec = other;
    check_consumer(false, subjects);
}

static void test_ensure_at_once(void **state) {
    enum { N = 12 };
    struct bus *others[N];
    struct got got[N] = {0};
    for (int i = 0; i < N; i++) {
        others[i] = connect_to(&server, &loop);
        stream_ensure(others[i], &spec, on_got_stream, &got[i]);
    }
    for (int i = 0; i < N; i++) {
        UNTIL(&loop, 10000, got[i].calls);
        assert_string_equal(got[i].text, "");
    }
    for (int i = 0; i < N; i++)
        bus_delete(others[i]);
}

/* Both find no stream, one makes it: the other must look again to see whose it is. */
static void test_ensure_races_another_namespace(void **state) {
    struct bus *other = connect_to(&server, &loop);
    struct stream_spec theirs = spec;
    struct got mine = {0}, got = {0};
    theirs.description = "rbf namespace theirs";
    stream_ensure(bus, &spec, on_got_stream, &mine);
    stream_ensure(other, &theirs, on_got_stream, &got);
    UNTIL(&loop, 30000, mine.calls && got.calls);
    assert_int_equal(mine.kind + got.kind, ERR_CONFIG); /* one of the two */
    assert_non_null(strstr(mine.kind ? mine.text : got.text, "field description"));
    bus_delete(other);
}

static void test_ensure_updates(void **state) {
    ensure();
    spec.ack_wait_ms = 12345;
    spec.max_ack_pending = 1000;
    ensure();
    assert_true(config_of("CONSUMER.INFO", spec.consumer, "ack_wait") == 12345000000);
    assert_int_equal(config_of("CONSUMER.INFO", spec.consumer, "max_ack_pending"), 1000);
}

static void test_ensure_adds_subjects(void **state) {
    json_t *body =
        json_pack("{s:s, s:[s], s:s, s:s, s:s}", "name", spec.stream, "subjects", "other.of.ours",
                  "retention", "workqueue", "storage", "file", "description", spec.description);
    api_ok("STREAM.CREATE", spec.stream, NULL, body);
    ensure();
    store(0, 1);
    struct got got = {0};
    bus_store(bus, "other.of.ours", NULL, "1", 1, 20000, on_got_puback, &got, NULL);
    UNTIL(&loop, 30000, got.calls);
    assert_int_equal(got.kind, ERR_NONE);
}

static void make_by_hand(const char *retention, const char *subjects, const char *about) {
    api_ok("STREAM.CREATE", spec.stream, NULL,
           json_pack("{s:s, s:[s], s:s, s:s, s:s}", "name", spec.stream, "subjects", subjects,
                     "retention", retention, "storage", "memory", "description", about));
}

static void test_ensure_refuses_retention(void **state) {
    make_by_hand("limits", spec.subjects, "");
    REFUSED(ERR_CONFIG, spec.stream, "field retention", "'limits'", "expected 'workqueue'",
            "nats stream rm");
}

static void test_ensure_refuses_other_namespace(void **state) {
    make_by_hand("workqueue", spec.subjects, "rbf namespace other");
    REFUSED(ERR_CONFIG, spec.stream, "field description", "rbf namespace other",
            "expected 'rbf namespace default'");
}

static void test_ensure_takes_one_made_by_hand(void **state) {
    make_by_hand("workqueue", spec.subjects, "of the payments team");
    ensure();
    json_t *info = api("STREAM.INFO", spec.stream, NULL, NULL);
    json_t *config = json_object_get(info, "config");
    assert_string_equal(json_string_value(json_object_get(config, "description")),
                        "of the payments team");
    json_decref(info);
}

static void test_ensure_refuses_subjects_by_hand(void **state) {
    make_by_hand("workqueue", "only.this", "mine");
    REFUSED(ERR_CONFIG, "field subjects", "only.this", spec.subjects);
    api_ok("STREAM.DELETE", spec.stream, NULL, NULL);
}

static void test_ensure_refuses_overlaps(void **state) {
    char other[32];
    snprintf(other, sizeof other, "%s_other", spec.stream);
    api_ok("STREAM.CREATE", other, NULL,
           json_pack("{s:s, s:[s], s:s, s:s}", "name", other, "subjects", spec.subjects,
                     "retention", "workqueue", "storage", "memory"));
    REFUSED(ERR_CONFIG, spec.stream, spec.subjects, "overlap those of another stream");
    api_ok("STREAM.DELETE", other, NULL, NULL);
    ensure();
    spec.consumer = "twin";
    REFUSED(ERR_CONFIG, "consumer 'twin'", "another consumer", "nats consumer ls");
}

static void make_consumer(json_t *config) {
    ensure();
    api_ok("CONSUMER.DELETE", spec.stream, spec.consumer, NULL);
    json_object_set_new(config, "durable_name", json_string(spec.consumer));
    api_ok("CONSUMER.DURABLE.CREATE", spec.stream, spec.consumer,
           json_pack("{s:s, s:o}", "stream_name", spec.stream, "config", config));
}

static void test_ensure_refuses_filter(void **state) {
    char narrow[48];
    subject_of(1, narrow);
    make_consumer(json_pack("{s:s, s:s}", "ack_policy", "explicit", "filter_subject", narrow));
    REFUSED(ERR_CONFIG, spec.stream, spec.consumer, "field filter_subject", narrow, spec.subjects,
            "nats consumer rm");
}

static void test_ensure_refuses_push(void **state) {
    make_consumer(json_pack("{s:s, s:s, s:s}", "ack_policy", "explicit", "filter_subject",
                            spec.subjects, "deliver_subject", "x.y"));
    REFUSED(ERR_CONFIG, "field deliver_subject", "x.y");
}

static void test_ensure_mends_consumer(void **state) {
    make_consumer(json_pack("{s:s, s:[I, I], s:i, s:i}", "ack_policy", "explicit", "backoff",
                            (json_int_t)1000000000, (json_int_t)2000000000, "max_deliver", 5,
                            "max_batch", 3));
    ensure();
    assert_int_equal(config_of("CONSUMER.INFO", spec.consumer, "max_deliver"), -1);
    assert_int_equal(config_of("CONSUMER.INFO", spec.consumer, "max_batch"), 0);
    assert_true(config_of("CONSUMER.INFO", spec.consumer, "ack_wait") == 30000000000);
}

static void test_ensure_replicas_need_a_cluster(void **state) {
    spec.replicas = 3;
    REFUSED(ERR_CONFIG, "3 replicas", "cluster");
}

static void test_ensure_without_jetstream(void **state) {
    struct natsserver plain;
    natsserver_start(&plain, false, NULL);
    struct bus *b = connect_to(&plain, &loop);
    struct got got = ensure_with(b, &spec);
    assert_int_equal(got.kind, ERR_TIMEOUT);
    assert_non_null(strstr(got.text, "start nats-server with -js"));
    natsserver_kill(&plain);
    UNTIL(&loop, 30000, !bus_up(b));
    got = ensure_with(b, &spec);
    assert_int_equal(got.kind, ERR_BUS_DOWN);
    bus_delete(b);
    natsserver_end(&plain);
}

/* One that is listed, but not whole yet, has no answer. Here it never has one: this user's messages
 * do not reach it. */
static void test_ensure_makes_no_consumer_before_the_stream_answers(void **state) {
    struct natsserver own;
    struct bus *outer = bus;
    char permissions[64];
    snprintf(permissions, sizeof permissions, "publish: {deny: \"%s\"}", spec.subjects);
    natsserver_start_limited(&own, permissions);
    bus = connect_to(&own, &loop);
    REFUSED(ERR_TIMEOUT, spec.stream, "does not answer to messages", spec.subjects,
            "let the host publish");
    json_t *answer = api("CONSUMER.INFO", spec.stream, spec.consumer, NULL);
    assert_int_equal(json_integer_value(json_object_get(answer, "code")), JSAPI_NO_CONSUMER);
    json_decref(answer);
    bus_delete(bus);
    natsserver_end(&own);
    bus = outer;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        T(test_ensure_twice),
        T(test_ensure_in_a_stream_of_its_own),
        T(test_ensure_in_a_shared_stream),
        T(test_ensure_when_a_stream_becomes_shared),
        T(test_ensure_at_once),
        T(test_ensure_makes_no_consumer_before_the_stream_answers),
        T(test_ensure_races_another_namespace),
        T(test_ensure_updates),
        T(test_ensure_adds_subjects),
        T(test_ensure_refuses_retention),
        T(test_ensure_refuses_other_namespace),
        T(test_ensure_takes_one_made_by_hand),
        T(test_ensure_refuses_subjects_by_hand),
        T(test_ensure_refuses_overlaps),
        T(test_ensure_refuses_filter),
        T(test_ensure_refuses_push),
        T(test_ensure_mends_consumer),
        T(test_ensure_replicas_need_a_cluster),
        T(test_ensure_without_jetstream),
    };
    return cmocka_run_group_tests(tests, start, end);
}
