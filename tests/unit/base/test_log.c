/* SPDX-License-Identifier: MIT */
#include "base/buf.h"
#include "base/clock.h"
#include "base/jsonval.h"
#include "base/log.h"
#include "logcapture.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void keys_of_handlers_tell_secrets(void **state) {
    struct buf out = {0};
    struct log_field given[] = {LOG_S("password", "hunter2"),
                                LOG_I("pin_token", 7),
                                LOG_J("secrets", "[1]"),
                                LOG_B("password_set", true),
                                {.key = 0}};
    for (int i = 0; given[i].key; i++)
        given[i].foreign = true;
    log_set_format("json");
    log_capture();
    log_write(LOG_INFO, "m", given);
    log_info("m", LOG_S("request_id", "token:abc"), LOG_S("error", "token:abc"),
             LOG_J("fields", "{\"token\":1}"), LOG_S("password", "is the host's word"));
    log_captured(&out);
    assert_non_null(strstr(out.p, "\"password\":\"[redacted]\",\"pin_token\":\"[redacted]\","
                                  "\"secrets\":\"[redacted]\",\"password_set\":true}"));
    assert_non_null(strstr(out.p, "\"request_id\":\"token:abc\",\"error\":\"token:[redacted]\","
                                  "\"fields\":{\"token\":\"[redacted]\"}"));
    assert_non_null(strstr(out.p, "\"password\":\"is the host's word\""));
    buf_free(&out);
}

static void json_lines_are_json(void **state) {
    struct buf out = {0};
    struct err e = {0};
    log_set_format("json");
    log_capture();
    log_info("he said \"hi\"\n", LOG_S("bad", "a\xff\x01"), LOG_S("absent", NULL), LOG_I("n", -7),
             LOG_F("f", 0.5), LOG_F("nan", (double)NAN), LOG_B("yes", true),
             LOG_J("j", "{\"k\":[1]}"));
    log_captured(&out);
    assert_ptr_equal(strchr(out.p, '\n'), out.p + out.len - 1);
    json_t *v = jsonval_read(out.p, out.len, &e);
    assert_non_null(v);
    assert_string_equal(json_string_value(json_object_get(v, "msg")), "he said \"hi\"\n");
    assert_string_equal(json_string_value(json_object_get(v, "level")), "info");
    assert_string_equal(json_string_value(json_object_get(v, "bad")), "a\xEF\xBF\xBD\x01");
    assert_null(json_object_get(v, "absent"));
    assert_int_equal(json_integer_value(json_object_get(v, "n")), -7);
    assert_true(json_is_null(json_object_get(v, "nan")));
    assert_true(json_is_true(json_object_get(v, "yes")));
    assert_int_equal(json_integer_value(json_object_get(v, "pid")), getpid());
    assert_int_equal(json_array_size(json_object_get(json_object_get(v, "j"), "k")), 1);
    const char *time = json_string_value(json_object_get(v, "time"));
    assert_true(strlen(time) == 24 && time[10] == 'T' && time[23] == 'Z');
    json_decref(v);
    buf_free(&out);
}

static void pretty_lines_cannot_be_forged(void **state) {
    struct buf out = {0};
    log_set_format("pretty");
    log_capture();
    log_warn("slow", LOG_S("op", "users.create"), LOG_S("sql", "a b"), LOG_S("none", ""),
             LOG_S("evil", "x\n03:04:05.678 info  fake\033[31m"), LOG_I("ms", 12));
    log_captured(&out);
    assert_ptr_equal(strchr(out.p, '\n'), out.p + out.len - 1);
    assert_string_equal(out.p + 12, " warn  slow  op=users.create sql=\"a b\" none=\"\" "
                                    "evil=\"x\\n03:04:05.678 info  fake\\u001b[31m\" ms=12\n");
    buf_free(&out);
}

static void details_stand_below(void **state) {
    struct buf out = {0};
    const char *details = "a.lua:1: red\n\033[31m03:04:05.678 info  fake\n";
    log_set_format("pretty");
    log_capture();
    log_with_details(LOG_ERROR, "refused", details);
    log_with_details(LOG_ERROR, "again", NULL);
    log_with_details(LOG_DEBUG, "hidden", details);
    log_captured(&out);
    assert_non_null(strstr(out.p, " error refused\n  a.lua:1: red\n   [31m03:04:05.678 info"));
    assert_string_equal(strstr(out.p, "fake\n") + 17, " error again\n");
    buf_free(&out);
    log_set_format("json");
    log_capture();
    log_with_details(LOG_ERROR, "refused", details);
    log_captured(&out);
    assert_ptr_equal(strchr(out.p, '\n'), out.p + out.len - 1);
    assert_non_null(strstr(out.p, "\"details\":\"a.lua:1: red\\n"));
    buf_free(&out);
}

static int evaluated;

static int count_me(void) {
    return ++evaluated;
}

static int lines_of(const struct buf *out, const char *part) {
    int n = 0;
    for (const char *p = out->p; p && (p = strstr(p, part)); p++)
        n++;
    return n;
}

static int second(void) {
    return (int)(clock_mono_ms() / 1000);
}

/* The limit is each second's, and the second may change between any two lines. */
static void failures_are_not_a_storm(void **state) {
    struct buf out = {0};
    log_set_format("json");
    log_capture();
    int seconds = -second();
    for (int i = 0; i < 10 * LOG_MOST; i++) {
        log_error("it broke", LOG_I("n", i));
        if (i % 10 == 0)
            log_warn("another", LOG_I("n", i));
    }
    seconds += second() + 1;
    for (int i = 0; i < 2 * LOG_MOST; i++)
        log_info("all is well");
    log_captured(&out);
    assert_in_range(lines_of(&out, "\"msg\":\"it broke\""), LOG_MOST, seconds * LOG_MOST);
    assert_in_range(lines_of(&out, "\"kind\":\"it broke\""), 1, seconds);
    assert_int_equal(lines_of(&out, "another"), LOG_MOST);
    assert_int_equal(lines_of(&out, "all is well"), 2 * LOG_MOST);
    buf_free(&out);
}

static void levels_filter(void **state) {
    struct buf out = {0};
    log_set_format("json");
    log_capture();
    log_debug("hidden", LOG_I("n", count_me()));
    log_set_level(LOG_WARN);
    log_info("hidden too");
    log_error("shown");
    log_set_level(LOG_DEBUG);
    log_debug("shown too", LOG_I("n", count_me()));
    log_set_level(LOG_INFO);
    log_captured(&out);
    assert_int_equal(evaluated, 1);
    assert_null(strstr(out.p, "hidden"));
    assert_non_null(strstr(out.p, "\"shown\""));
    assert_non_null(strstr(out.p, "\"shown too\""));
    assert_int_equal(log_set_format("xml"), -1);
    buf_free(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_lines_are_json),
        cmocka_unit_test(keys_of_handlers_tell_secrets),
        cmocka_unit_test(pretty_lines_cannot_be_forged),
        cmocka_unit_test(details_stand_below),
        cmocka_unit_test(levels_filter),
        cmocka_unit_test(failures_are_not_a_storm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
