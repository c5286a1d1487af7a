/* SPDX-License-Identifier: MIT */
/* What a redirect makes of a request. */
#include "web/hop.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct hop hop;

static void make(const char *method, const char *url) {
    struct hdrs headers = {0};
    struct err err;
    hdrs_add(&headers, "Authorization", "Bearer secret");
    hdrs_add(&headers, "X-Api-Key", "secret");
    hdrs_add(&headers, "Content-Type", "text/plain");
    hdrs_add(&headers, "idempotency-key", "id/1");
    hdrs_add(&headers, "Accept", "text/*");
    struct http_request req = {
        .method = method, .url = url, .headers = &headers, .body = "a\0b", .body_len = 3};
    assert_int_equal(hop_init(&hop, &req, &err), 0);
    hdrs_free(&headers);
}

static int end(void **state) {
    hop_free(&hop);
    return 0;
}

static void follow(int status, const char *url) {
    struct err err;
    assert_int_equal(hop_redirect(&hop, status, url, &err), 0);
    assert_string_equal(hop.url, url);
}

static bool has(const char *name) {
    return hdrs_get(&hop.headers, name);
}

static void test_same_origin_keeps_headers(void **state) {
    make("GET", "https://Example.com/a");
    assert_string_equal(hop.origin, "https://example.com:443");
    follow(302, "https://example.com:443/b");
    assert_true(has("authorization") && has("x-api-key") && has("accept"));
}

static void test_other_origin_gets_no_secrets(void **state) {
    static const char *const urls[] = {"https://other.com/", "https://example.com:8443/",
                                       "https://sub.example.com/", "https://example.com.other/"};
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
        make("PUT", "https://example.com/a");
        follow(307, urls[i]);
        assert_false(has("authorization") || has("x-api-key"));
        assert_true(has("accept") && has("content-type") && has("idempotency-key"));
        hop_free(&hop);
    }
}

static void test_secrets_do_not_come_back(void **state) {
    make("GET", "https://example.com/a");
    follow(302, "https://other.com/");
    follow(302, "https://example.com/");
    assert_false(has("authorization"));
}

static void check_becomes(const char *method, int status, const char *wanted) {
    make(method, "http://example.com/a");
    follow(status, "http://example.com/b");
    assert_string_equal(hop.method, wanted);
    bool same = !strcmp(method, wanted);
    assert_int_equal(hop.body_len, same ? 3 : 0);
    assert_int_equal(has("content-type"), same);
    assert_int_equal(has("idempotency-key"), same);
    hop_free(&hop);
}

static void test_methods(void **state) {
    check_becomes("POST", 301, "GET");
    check_becomes("POST", 302, "GET");
    check_becomes("POST", 303, "GET");
    check_becomes("POST", 307, "POST");
    check_becomes("POST", 308, "POST");
    check_becomes("PUT", 302, "PUT");
    check_becomes("DELETE", 303, "GET");
    check_becomes("HEAD", 303, "HEAD");
}

static void test_refused(void **state) {
    static const char *const urls[] = {"ftp://example.com/", "file:///etc/passwd",
                                       "gopher://example.com/", "http://example.com/", "nonsense:"};
    struct err err;
    make("GET", "https://example.com/a");
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
        assert_int_equal(hop_redirect(&hop, 302, urls[i], &err), -1);
        assert_string_equal(hop.url, "https://example.com/a");
    }
}

static void test_statuses(void **state) {
    for (int status = 200; status < 400; status++)
        assert_int_equal(hop_is_redirect(status), status == 301 || status == 302 || status == 303 ||
                                                      status == 307 || status == 308);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_same_origin_keeps_headers, end),
        cmocka_unit_test_teardown(test_other_origin_gets_no_secrets, end),
        cmocka_unit_test_teardown(test_secrets_do_not_come_back, end),
        cmocka_unit_test_teardown(test_methods, end),
        cmocka_unit_test_teardown(test_refused, end),
        cmocka_unit_test(test_statuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
