/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "cache/lru.h"
#include <cmocka.h>

static const char *get(struct lru *l, const char *key, uint64_t now) {
    size_t len = 0;
    const char *v = lru_get(l, key, now, &len);
    if (v)
        assert_int_equal(len, strlen(v));
    return v;
}

static void put(struct lru *l, const char *key, const char *value) {
    lru_set(l, key, value, strlen(value), 1000);
}

static void keeps_copies(void **state) {
    struct lru *l = lru_new(100000);
    char key[] = "a", value[] = "one";
    put(l, key, value);
    key[0] = value[0] = 'X';
    assert_string_equal(get(l, "a", 0), "one");
    assert_null(get(l, "X", 0));
    put(l, "a", "two, and longer");
    assert_string_equal(get(l, "a", 0), "two, and longer");
    assert_int_equal(lru_count(l), 1);
    put(l, "empty", "");
    assert_string_equal(get(l, "empty", 0), "");
    lru_delete(l);
}

static void ends_at_its_time(void **state) {
    struct lru *l = lru_new(100000);
    lru_set(l, "a", "1", 1, 50);
    assert_non_null(get(l, "a", 49));
    assert_null(get(l, "a", 50));
    assert_int_equal(lru_count(l), 0); /* and its memory is free */
    assert_int_equal(lru_bytes(l), 0);
    assert_null(get(l, "a", 0));
    lru_delete(l);
}

/* Whatever is put in, it stays within its bytes; what was asked for last stays. */
static void stays_within_its_bytes(void **state) {
    char key[16], value[200];
    memset(value, 'v', sizeof value);
    struct lru *l = lru_new(20000);
    put(l, "loved", "me");
    for (int i = 0; i < 1000; i++) {
        snprintf(key, sizeof key, "k%d", i);
        lru_set(l, key, value, (size_t)(i * 7 % 200), 1000);
        assert_non_null(get(l, "loved", 0));
        assert_true(lru_bytes(l) <= 20000);
    }
    assert_true(lru_count(l) > 40);
    assert_non_null(get(l, "k999", 0));
    assert_null(get(l, "k0", 0));
    lru_delete(l);
}

static void the_oldest_goes_first(void **state) {
    static const char value[400];
    struct lru *l = lru_new(2600); /* four of them and no fifth */
    for (const char *k = "abcd"; *k; k++)
        lru_set(l, (char[]){*k, 0}, value, sizeof value, 1000);
    assert_int_equal(lru_count(l), 4);
    size_t len;
    assert_non_null(lru_get(l, "a", 0, &len));
    lru_set(l, "e", value, sizeof value, 1000);
    assert_null(lru_get(l, "b", 0, &len));
    assert_non_null(lru_get(l, "a", 0, &len));
    assert_non_null(lru_get(l, "c", 0, &len));
    lru_delete(l);
}

static void what_is_too_large_is_not_kept(void **state) {
    static char large[6000];
    struct lru *l = lru_new(20000), *none = lru_new(0);
    put(l, "a", "old");
    put(l, "b", "other");
    lru_set(l, "a", large, sizeof large, 1000);
    assert_null(get(l, "a", 0)); /* and the old one is not left in its place */
    assert_non_null(get(l, "b", 0));
    put(none, "a", "1");
    assert_null(get(none, "a", 0));
    lru_delete(l);
    lru_delete(none);
}

static void drops_and_clears(void **state) {
    struct lru *l = lru_new(100000);
    put(l, "a", "1");
    put(l, "b", "2");
    lru_drop(l, "a");
    lru_drop(l, "nothing");
    assert_null(get(l, "a", 0));
    assert_non_null(get(l, "b", 0));
    lru_clear(l);
    assert_null(get(l, "b", 0));
    assert_int_equal(lru_bytes(l), 0);
    put(l, "c", "3");
    assert_non_null(get(l, "c", 0));
    lru_delete(l);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_copies),
        cmocka_unit_test(ends_at_its_time),
        cmocka_unit_test(stays_within_its_bytes),
        cmocka_unit_test(the_oldest_goes_first),
        cmocka_unit_test(what_is_too_large_is_not_kept),
        cmocka_unit_test(drops_and_clears),
    };
    return cmocka_run_group_tests_name("lru", tests, NULL, NULL);
}
