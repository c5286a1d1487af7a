/* SPDX-License-Identifier: MIT */
/* err, buf, list, clock and id. */
#include "base/buf.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/list.h"
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void err_carries_one_message(void **state) {
    struct err e = {0};
    assert_int_equal(err_set(&e, ERR_CONFIG, "no %s", "file"), -1);
    assert_int_equal(e.kind, ERR_CONFIG);
    assert_int_equal(err_set(&e, ERR_LUA, "reload: %s", e.msg), -1); /* quotes itself */
    assert_string_equal(e.msg, "reload: no file");
    assert_int_equal(err_set(NULL, ERR_SYS, "nobody asks"), -1);
    err_clear(&e);
    assert_int_equal(e.kind, ERR_NONE);
}

static void buf_grows(void **state) {
    struct buf b = {0};
    for (int i = 0; i < 1000; i++)
        buf_printf(&b, "%d,", i);
    assert_int_equal(b.len, 3890);
    assert_int_equal(strlen(b.p), b.len);
    buf_reset(&b);
    assert_string_equal(b.p, "");
    buf_put(&b, "a\0b", 3);
    assert_int_equal(b.len, 3);
    char *p = buf_steal(&b);
    assert_memory_equal(p, "a\0b", 4);
    free(p);
    assert_null(b.p);
    p = buf_steal(&b);
    assert_string_equal(p, "");
    free(p);
    p = xasprintf("%s-%d", "x", 7);
    assert_string_equal(p, "x-7");
    free(p);
    assert_null(xstrdup(NULL));
}

struct item {
    int n;
    struct list link;
};

static void list_keeps_order(void **state) {
    struct list head;
    struct item items[3] = {{1, {0}}, {2, {0}}, {3, {0}}};
    list_init(&head);
    assert_null(list_pop(&head));
    list_push(&head, &items[1].link);
    list_push(&head, &items[2].link);
    list_push_front(&head, &items[0].link);
    int expected = 1;
    list_each_safe(&head, it) {
        assert_int_equal(container_of(it, struct item, link)->n, expected++);
        if (it == &items[1].link)
            list_remove(it);
    }
    assert_int_equal(expected, 4);
    list_remove(&items[1].link); /* twice does no harm */
    assert_ptr_equal(list_pop(&head), &items[0].link);
    assert_ptr_equal(list_pop(&head), &items[2].link);
    assert_true(list_empty(&head));
}

static void database_clock_is_kept(void **state) {
    int64_t wall = clock_wall_ms();
    assert_true(wall > 1700000000000);
    clock_set_db(wall - 60000);
    int64_t db = clock_db_ms();
    assert_true(db >= wall - 60000 && db < wall - 55000);
    clock_set_db(0);
    assert_true(clock_db_ms() >= wall);
    uint64_t before = clock_mono_ns();
    assert_true(clock_mono_ns() >= before && clock_mono_ms() >= before / 1000000);
}

static void assert_uuid(const char *id, char version) {
    assert_int_equal(strlen(id), 36);
    assert_int_equal(strspn(id, "0123456789abcdef-"), 36);
    assert_int_equal(id[14], version);
    assert_non_null(strchr("89ab", id[19]));
}

static void ids_have_their_version(void **state) {
    char a[ID_TEXT], b[ID_TEXT];
    id_v4(a);
    id_v4(b);
    assert_uuid(a, '4');
    assert_string_not_equal(a, b);
    id_v5("jobs:1:2", 8, a);
    id_v5("jobs:1:2", 8, b);
    assert_uuid(a, '5');
    assert_string_equal(a, b);
    /* these ids are in databases: the constant in id.c may never change */
    assert_string_equal(a, "2b13a31d-f0dd-5e76-a40c-e98520852366");
    id_v5("jobs:1:3", 8, b);
    assert_string_not_equal(a, b);
}

static void seeded_ids_repeat(void **state) {
    char first[ID_TEXT], second[ID_TEXT], again[ID_TEXT];
    clock_freeze(1767225600000);
    assert_int_equal(clock_db_ms(), 1767225600000);
    id_seed(7);
    id_v7(first);
    id_v7(second);
    id_seed(7);
    id_v7(again);
    assert_string_equal(first, again);
    assert_string_not_equal(first, second);
    assert_memory_equal(first, "019b76da-a800-7", 15); /* the frozen time */
    id_seed(8);
    id_v7(again);
    assert_string_not_equal(first, again);
    clock_freeze(0);
    assert_true(clock_db_ms() - clock_wall_ms() < 86400000);
}

static void v7_orders_by_time(void **state) {
    char last[ID_TEXT], next[ID_TEXT], ms[17] = {0};
    int64_t before = clock_wall_ms();
    id_v7(last);
    assert_uuid(last, '7');
    memcpy(ms, last, 8);
    memcpy(ms + 8, last + 9, 4);
    int64_t at = (int64_t)strtoull(ms, NULL, 16);
    assert_true(at >= before && at <= clock_wall_ms());
    for (int i = 0; i < 50000; i++) { /* many in each millisecond, past the counter's end too */
        id_v7(next);
        if (strcmp(last, next) >= 0)
            fail_msg("%s came before %s", last, next);
        memcpy(last, next, sizeof last);
    }
}

#define EACH 5000
static void *make_ids(void *arg) {
    char(*out)[ID_TEXT] = arg;
    for (int i = 0; i < EACH; i++)
        id_v7(out[i]);
    return NULL;
}

static int by_text(const void *a, const void *b) {
    return strcmp(a, b);
}

static void v7_is_unique_across_threads(void **state) {
    char(*ids)[ID_TEXT] = malloc(4 * EACH * sizeof *ids);
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, make_ids, ids + i * EACH), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    qsort(ids, 4 * EACH, sizeof *ids, by_text);
    for (int i = 1; i < 4 * EACH; i++)
        assert_string_not_equal(ids[i - 1], ids[i]);
    free(ids);
}

static void hash_is_sha256(void **state) {
    char hex[13];
    id_hash12("abc", 3, hex);
    assert_string_equal(hex, "ba7816bf8f01");
    id_hash12("", 0, hex);
    assert_string_equal(hex, "e3b0c44298fc");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(err_carries_one_message),
        cmocka_unit_test(buf_grows),
        cmocka_unit_test(list_keeps_order),
        cmocka_unit_test(database_clock_is_kept),
        cmocka_unit_test(ids_have_their_version),
        cmocka_unit_test(v7_orders_by_time),
        cmocka_unit_test(v7_is_unique_across_threads),
        cmocka_unit_test(hash_is_sha256),
        cmocka_unit_test(seeded_ids_repeat), /* last: ids stay seeded */
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
