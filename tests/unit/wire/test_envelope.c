/* SPDX-License-Identifier: MIT */
#include "base/jsonval.h"
#include "wire/envelope.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int drop_headers(void **state) {
    hdrs_free(*state);
    return 0;
}

static int no_headers(void **state) {
    static struct hdrs h;
    *state = &h;
    return 0;
}

static int parse(const struct hdrs *h, struct envelope *out, struct err *e) {
    return envelope_parse(h, "jobs", 12, 1700000000123456789u, out, e);
}

static void assert_id(const struct hdrs *h, const char *id, bool fallback) {
    struct envelope env;
    struct err e = {0};
    if (parse(h, &env, &e))
        fail_msg("%s", e.msg);
    assert_string_equal(env.id, id);
    assert_int_equal(env.id_fallback, fallback);
}

static void ids_come_from_four_sources(void **state) {
    struct hdrs *h = *state;
    assert_id(h, "jobs:12:1700000000123456789", true);
    hdrs_add(h, "nats-msg-id", "n1");
    assert_id(h, "Nats-Msg-Id->n1", false);
    hdrs_add(h, "Request-Id", "r1");
    assert_id(h, "r1", false);
    hdrs_add(h, "RBF-REQUEST-ID", "b1");
    assert_id(h, "b1", false);
}

static void bad_ids_leave_the_fallback(void **state) {
    struct hdrs *h = *state;
    struct envelope env;
    struct err e = {0};
    char text[202];
    static const char *const bad[] = {"", "a\tb", "a\x7f", "\xff", "\xc2\x80", "a\r\nb"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        hdrs_set(h, "Request-Id", bad[i]);
        assert_int_equal(parse(h, &env, &e), -1);
        assert_int_equal(e.kind, ERR_INVALID);
        assert_non_null(strstr(e.msg, "Request-Id must be 1 to 200 bytes"));
        assert_string_equal(env.id, "jobs:12:1700000000123456789");
        assert_true(env.id_fallback);
    }
    memset(text, 'x', 201);
    text[201] = 0;
    hdrs_set(h, "Request-Id", text);
    assert_int_equal(parse(h, &env, &e), -1);
    text[200] = 0;
    hdrs_set(h, "Request-Id", text);
    assert_id(h, text, false);
    hdrs_set(h, "Request-Id", "\303\251 \360\237\230\200");
    assert_id(h, "\303\251 \360\237\230\200", false);
    hdrs_drop(h, "Request-Id");
    text[188] = 0; /* the prefix counts */
    hdrs_set(h, "Nats-Msg-Id", text);
    assert_int_equal(parse(h, &env, &e), -1);
    assert_non_null(strstr(e.msg, "Nats-Msg-Id must be 1 to 187 bytes"));
    text[187] = 0;
    hdrs_set(h, "Nats-Msg-Id", text);
    assert_int_equal(parse(h, &env, &e), 0);
    assert_int_equal(strlen(env.id), 200);
}

static void times_are_milliseconds(void **state) {
    struct hdrs *h = *state;
    struct envelope env;
    struct err e = {0};
    static const char *const bad[] = {"",
                                      "0",
                                      "-1",
                                      "1.5",
                                      "1e3",
                                      " 1",
                                      "soon",
                                      "9007199254740993",
                                      "99999999999999999999",
                                      "184467440737095516160"};
    hdrs_add(h, "Request-Id", "r1");
    hdrs_add(h, "Target-At", "1700000000001");
    hdrs_add(h, "Expires-At", "1700000000002");
    assert_int_equal(parse(h, &env, &e), 0);
    assert_int_equal(env.target_at, 1700000000001);
    assert_int_equal(env.expires_at, 1700000000002);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        hdrs_set(h, "Target-At", bad[i]);
        if (parse(h, &env, &e) == 0)
            fail_msg("Target-At '%s' was accepted", bad[i]);
        assert_non_null(strstr(e.msg, "Target-At"));
        assert_int_equal(env.target_at, 0);
        assert_int_equal(env.expires_at, 1700000000002);
        assert_string_equal(env.id, "r1"); /* a good id stays */
    }
    hdrs_drop(h, "target-at");
    hdrs_set(h, "Expires-At", "never");
    assert_int_equal(parse(h, &env, &e), -1);
    assert_non_null(strstr(e.msg, "Expires-At"));
}

static void attempts_and_addresses(void **state) {
    struct hdrs *h = *state;
    struct envelope env;
    struct err e = {0};
    static const char *const odd[] = {"", "0", "-3", "x", "2 ", "99999999999"};
    assert_int_equal(parse(h, &env, &e), 0);
    assert_int_equal(env.attempt, 1);
    assert_null(env.reply_to);
    assert_null(env.traceparent);
    hdrs_add(h, "RBF-Attempt", "3");
    hdrs_add(h, "reply-to", "_INBOX.x");
    hdrs_add(h, "Traceparent", "00-a-b-01");
    assert_int_equal(parse(h, &env, &e), 0);
    assert_int_equal(env.attempt, 3);
    assert_string_equal(env.reply_to, "_INBOX.x");
    assert_string_equal(env.traceparent, "00-a-b-01");
    hdrs_set(h, "Reply-To", "");
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        hdrs_set(h, "RBF-Attempt", odd[i]);
        assert_int_equal(parse(h, &env, &e), 0);
        assert_int_equal(env.attempt, 1);
        assert_null(env.reply_to);
    }
}

static void content_types(void **state) {
    struct hdrs *h = *state;
    static const char *const good[] = {"application/json", "Application/JSON",
                                       "application/json; charset=utf-8", "application/json ;x"};
    static const char *const bad[] = {"",
                                      "text/plain",
                                      "application/jsonp",
                                      "application/json5",
                                      "application/json charset",
                                      "x application/json"};
    assert_true(envelope_content_type_ok(h));
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        hdrs_set(h, "content-type", good[i]);
        assert_true(envelope_content_type_ok(h));
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        hdrs_set(h, "content-type", bad[i]);
        if (envelope_content_type_ok(h))
            fail_msg("'%s' was accepted", bad[i]);
    }
}

static void headers_ignore_case(void **state) {
    struct hdrs *h = *state;
    hdrs_add(h, "A", "1");
    hdrs_add(h, "b", "2");
    hdrs_add(h, "a", "3");
    assert_string_equal(hdrs_get(h, "a"), "1");
    hdrs_set(h, "B", hdrs_get(h, "b")); /* its own value */
    assert_string_equal(hdrs_get(h, "b"), "2");
    hdrs_set(h, "a", "4");
    assert_int_equal(h->n, 2);
    hdrs_drop(h, "A");
    assert_null(hdrs_get(h, "a"));
    for (int i = 0; i < 100; i++)
        hdrs_add(h, "x", "y");
    assert_int_equal(h->n, 101);
}

static void assert_parsed(const char *block, const char *json) {
    struct hdrs h = {0};
    struct buf out = {0};
    char *tight = xmemdup(block, strlen(block));
    hdrs_parse(&h, tight, strlen(block));
    hdrs_to_json(&h, &out);
    assert_string_equal(out.p, json);
    buf_free(&out);
    hdrs_free(&h);
    free(tight);
}

static void headers_of_the_wire(void **state) {
    assert_parsed("NATS/1.0\r\nA: 1\r\nB:2\r\n\r\n", "{\"A\":\"1\",\"B\":\"2\"}");
    assert_parsed("NATS/1.0\r\nA: \r\nB: b: c \r\nC:\r\n\r\n",
                  "{\"A\":\"\",\"B\":\"b: c\",\"C\":\"\"}");
    assert_parsed("NATS/1.0 503\r\n\r\n", "{\"Status\":\"503\"}");
    assert_parsed("NATS/1.0 409 Consumer Deleted\r\nN: 3\r\n\r\n",
                  "{\"Description\":\"Consumer Deleted\",\"Status\":\"409\",\"N\":\"3\"}");
    assert_parsed("NATS/1.0\r\nA: 1\r\n  more\r\n\tand more\r\nB: 2\r\n\r\n",
                  "{\"A\":\"1 more and more\",\"B\":\"2\"}");
    assert_parsed("NATS/1.0\r\nnothing\r\n: x\r\nA: 1", "{\"A\":\"1\"}");
    assert_parsed("NATS/1.0", "{}");
    assert_parsed("", "{}");
}

/* As many as a message has room for: a copy of the whole for each took ten seconds. */
static void a_value_of_many_lines(void **state) {
    enum { LINES = 330000 };
    struct hdrs h = {0};
    struct buf block = {0};
    buf_puts(&block, "NATS/1.0\nA:\n \n");
    for (int i = 0; i < LINES; i++)
        buf_puts(&block, " x\n");
    buf_puts(&block, "B: 1\n\n");
    hdrs_parse(&h, block.p, block.len);
    assert_int_equal(h.n, 2);
    assert_int_equal(strlen(h.v[0].value), 2 * LINES - 1);
    assert_string_equal(h.v[1].value, "1");
    buf_free(&block);
    hdrs_free(&h);
}

/* Few are compared with each other, many go by hash: the text is the same. */
static void many_headers_are_told_as_few(void **state) {
    for (int n = 15; n <= 19; n++) {
        struct hdrs h = {0};
        struct buf out = {0}, expected = {0};
        buf_puts(&expected, "{\"TWICE\":\"2\"");
        hdrs_add(&h, "twice", "1");
        for (int i = 2; i < n; i++) {
            char name[8];
            snprintf(name, sizeof name, "N%d", i);
            hdrs_add(&h, name, "x");
            buf_printf(&expected, ",\"%s\":\"x\"", name);
        }
        hdrs_add(&h, "TWICE", "2");
        buf_putc(&expected, '}');
        hdrs_to_json(&h, &out);
        assert_string_equal(out.p, expected.p);
        buf_free(&out);
        buf_free(&expected);
        hdrs_free(&h);
    }
}

static void headers_survive_json(void **state) {
    struct hdrs *h = *state, back = {0};
    struct buf out = {0};
    struct err e = {0};
    hdrs_to_json(h, &out);
    assert_string_equal(out.p, "{}");
    buf_reset(&out);
    hdrs_add(h, "X-One", "1");
    hdrs_add(h, "Name", "a\"b\303\251");
    hdrs_add(h, "x-one", "last");
    hdrs_to_json(h, &out);
    assert_string_equal(out.p, "{\"x-one\":\"last\",\"Name\":\"a\\\"b\303\251\"}");
    assert_int_equal(hdrs_from_json(&back, out.p, out.len, &e), 0);
    assert_int_equal(back.n, 2);
    assert_string_equal(hdrs_get(&back, "name"), "a\"b\303\251");
    hdrs_free(&back);
    static const char *const bad[] = {
        "[]", "1", "{\"a\":1}", "{\"a b\":\"x\"}", "{\"a\":\"x\\r\\ny\"}", "{\"\":\"x\"}", "{"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (hdrs_from_json(&back, bad[i], strlen(bad[i]), &e) == 0)
            fail_msg("'%s' was accepted", bad[i]);
        hdrs_free(&back);
    }
    assert_int_equal(hdrs_from_json(&back, "null", 4, &e), 0);
    assert_int_equal(back.n, 0);
    buf_reset(&out);
    hdrs_add(h, "bad", "\xff"); /* came from outside: becomes text */
    hdrs_to_json(h, &out);
    assert_non_null(strstr(out.p, "\"bad\":\"\xEF\xBF\xBD\""));
    buf_free(&out);
}

static void header_rules(void **state) {
    assert_true(hdrs_valid("X-One_2", "v \303\251"));
    assert_true(hdrs_valid("a", ""));
    assert_false(hdrs_valid("", "v"));
    assert_false(hdrs_valid("a:b", "v"));
    assert_false(hdrs_valid("a b", "v"));
    assert_false(hdrs_valid("caf\303\251", "v"));
    assert_false(hdrs_valid("a\r\nb", "v"));
    assert_false(hdrs_valid("a", "v\r\nEvil: 1"));
    assert_false(hdrs_valid("a", "v\n"));
    assert_false(hdrs_valid("a", "\xff"));
}

static void ack_subjects(void **state) {
    struct ack_subject a;
    assert_int_equal(ack_subject_parse("$JS.ACK.jobs.cons.3.12.7.1700000000123456789.42", &a), 0);
    assert_string_equal(a.stream, "jobs");
    assert_string_equal(a.consumer, "cons");
    assert_int_equal(a.delivered, 3);
    assert_int_equal(a.stream_seq, 12);
    assert_int_equal(a.consumer_seq, 7);
    assert_true(a.ts_ns == 1700000000123456789u);
    assert_int_equal(a.pending, 42);
    static const char *const newer[] = {"$JS.ACK.hub.ACCHASH.jobs.cons.3.12.7.99.42",
                                        "$JS.ACK._.ACCHASH.jobs.cons.3.12.7.99.42.rand0m"};
    for (size_t i = 0; i < 2; i++) {
        memset(&a, 0, sizeof a);
        assert_int_equal(ack_subject_parse(newer[i], &a), 0);
        assert_string_equal(a.stream, "jobs");
        assert_int_equal(a.ts_ns, 99);
        assert_int_equal(a.pending, 42);
    }
    static const char *const bad[] = {"",
                                      "_INBOX.x",
                                      "$JS.ACK.",
                                      "$JS.ACK.jobs.cons.3.12.7.99",
                                      "$JS.ACK.jobs.cons.3.12.7.99.42.1",
                                      "$JS.ACK.jobs.cons.x.12.7.99.42",
                                      "$JS.ACK.jobs.cons..12.7.99.42",
                                      "$JS.ACK..cons.3.12.7.99.42",
                                      "$JS.ACK.jobs.cons.3.12.7.99.18446744073709551616",
                                      "$JS.ACK.a.b.c.d.e.f.g.h.i.j.k.l.m",
                                      "$JS.API.jobs.cons.3.12.7.99.42"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (ack_subject_parse(bad[i], &a) == 0)
            fail_msg("'%s' was accepted", bad[i]);
}

static void error_bodies(void **state) {
    struct buf out = {0};
    envelope_error_body(&out, "CONFLICT", "he said \"no\"\n\xff", NULL);
    assert_string_equal(
        out.p, "{\"code\":\"CONFLICT\",\"message\":\"he said \\\"no\\\"\\n\xEF\xBF\xBD\"}");
    buf_reset(&out);
    envelope_error_body(&out, "BAD_REQUEST", "", "[{\"path\":[]}]");
    assert_string_equal(out.p,
                        "{\"code\":\"BAD_REQUEST\",\"message\":\"\",\"issues\":[{\"path\":[]}]}");
    buf_free(&out);
    assert_string_equal(envelope_code_of(404), "NOT_FOUND");
    assert_string_equal(envelope_code_of(409), "CONFLICT");
    assert_string_equal(envelope_code_of(418), "INTERNAL_SERVER_ERROR");
    assert_string_equal(envelope_code_of(500), "INTERNAL_SERVER_ERROR");
}

static void random_headers(void **state) {
    static const char *const names[] = {"Request-Id",   "Target-At",   "RBF-Attempt",
                                        "Content-Type", "Nats-Msg-Id", "Expires-At"};
    static const char bytes[] = "0129.$JSACK.\xff\xc3\xa9\r\n aj;/";
    unsigned seed = 5;
    struct buf out = {0};
    for (int round = 0; round < 100000; round++) {
        struct hdrs h = {0};
        struct envelope env;
        struct ack_subject ack;
        char text[24] = "$JS.ACK.";
        size_t n = (size_t)rand_r(&seed) % sizeof text;
        for (size_t i = round % 2 ? 8 : 0; i < n; i++)
            text[i] = bytes[(size_t)rand_r(&seed) % (sizeof bytes - 1)];
        char *tight = xmemdup(text, n);
        hdrs_add(&h, names[round % 6], tight);
        hdrs_add(&h, names[round % 5], tight);
        (void)!parse(&h, &env, NULL);
        assert_true(env.id[0] && jsonval_is_utf8(env.id, strlen(env.id)));
        envelope_content_type_ok(&h);
        (void)!ack_subject_parse(tight, &ack);
        buf_reset(&out);
        hdrs_to_json(&h, &out);
        json_t *v = jsonval_read(out.p, out.len, NULL);
        assert_non_null(v);
        json_decref(v);
        hdrs_free(&h);
        free(tight);
    }
    buf_free(&out);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, no_headers, drop_headers)
int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(ids_come_from_four_sources),
        TEST(bad_ids_leave_the_fallback),
        TEST(times_are_milliseconds),
        TEST(attempts_and_addresses),
        TEST(content_types),
        TEST(headers_ignore_case),
        TEST(headers_of_the_wire),
        TEST(a_value_of_many_lines),
        TEST(many_headers_are_told_as_few),
        TEST(headers_survive_json),
        TEST(header_rules),
        TEST(ack_subjects),
        TEST(error_bodies),
        TEST(random_headers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
