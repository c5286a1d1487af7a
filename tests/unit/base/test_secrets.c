/* SPDX-License-Identifier: MIT */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */
#include "base/jsonval.h"
#include "base/secrets.h"
#include <string.h>

#define HID SECRETS_HIDDEN

static void expect(const char *expected, const char *text) {
    struct buf out = {0};
    secrets_put(&out, text, strlen(text));
    assert_string_equal(expected, out.p ? out.p : "");
    buf_free(&out);
}

static void knows_keys(void **state) {
    static const char *const yes[] = {
        "password",   "dbPassword",   "DB_PASSWORD",   "passwd",
        "secret",     "clientSecret", "Authorization", "x-api-key",
        "apiKey",     "token",        "access_token",  "csrfToken",
        "Set-Cookie", "privateKey",   "pwd",           "proxy-authorization"};
    static const char *const no[] = {"name", "key", "tokenizer", "pass", "author", "", "ssn"};
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++)
        assert_true(secrets_is_key(yes[i]));
    for (size_t i = 0; i < sizeof no / sizeof *no; i++)
        assert_false(secrets_is_key(no[i]));
    secrets_add("ssn, Card-Number");
    assert_true(secrets_is_key("SSN"));
    assert_true(secrets_is_key("card_number"));
    assert_false(secrets_is_key("card"));
    secrets_add(NULL);
    assert_false(secrets_is_key("ssn"));
}

static void hides_in_texts(void **state) {
    expect("nothing to hide: 12:30 a=b", "nothing to hide: 12:30 a=b");
    expect("password=" HID " user=x", "password=hunter2 user=x");
    expect("the password: " HID "", "the password: hunter2");
    expect("{\"password\":\"" HID "\",\"a\":1}", "{\"password\":\"hun\\\"ter2\",\"a\":1}");
    expect("{\\\"token\\\": \\\"" HID "\\\"}", "{\\\"token\\\": \\\"abc\\\"}");
    expect("Authorization: " HID ", X: y", "Authorization: Basic YWJj, X: y");
    expect("sent Bearer " HID " there", "sent Bearer abc.def-1 there");
    expect("?a=1&access_token=" HID "&b=2", "?a=1&access_token=xyz&b=2");
    expect("nats://" HID "@h:1, http://u:" HID "@h/x", "nats://tok@h:1, http://u:p%40@h/x");
    expect("postgresql://rbf@h/db", "postgresql://rbf@h/db");
    expect("nats://***@h:1", "nats://***@h:1");
    expect("mail ada@example.com", "mail ada@example.com");
    expect("password: ", "password: ");
    expect("password", "password");
    expect("password='" HID, "password='un ended");
}

static void hides_in_values(void **state) {
    const char *text = "{\"user\":\"ada\",\"auth\":{\"password\":\"x\",\"has_password\":true,"
                       "\"token\":null},\"list\":[{\"apiKey\":[1,2]},\"Bearer abc\"],"
                       "\"headers\":{\"Authorization\":\"Basic eDp5\"}}";
    struct buf out = {0};
    json_t *v = jsonval_read(text, strlen(text), NULL);
    secrets_hide(v);
    jsonval_write(&out, v);
    assert_string_equal("{\"user\":\"ada\",\"auth\":{\"password\":\"" HID
                        "\",\"has_password\":true,"
                        "\"token\":null},\"list\":[{\"apiKey\":\"" HID "\"},\"Bearer " HID "\"],"
                        "\"headers\":{\"Authorization\":\"" HID "\"}}",
                        out.p);
    json_decref(v);
    buf_free(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(knows_keys),
        cmocka_unit_test(hides_in_texts),
        cmocka_unit_test(hides_in_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
