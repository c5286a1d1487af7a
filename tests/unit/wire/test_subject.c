/* SPDX-License-Identifier: MIT */
#include "base/utf8.h"
#include "wire/subject.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int make_router(void **state) {
    *state = router_new();
    return 0;
}

static int drop_router(void **state) {
    router_delete(*state);
    return 0;
}

static void add(struct router *r, const char *queue, const char *path, int op) {
    struct err e = {0};
    if (router_add(r, queue, path, op, NULL, &e))
        fail_msg("%s", e.msg);
}

static void assert_err(const struct err *e, const char *part) {
    if (e->kind == ERR_NONE || !strstr(e->msg, part))
        fail_msg("message is '%s', expected '%s' in it", e->msg, part);
}

static void literals_match_whole_subjects(void **state) {
    struct router *r = *state;
    add(r, "jobs", "users.create", 1);
    add(r, "jobs", "users.create.now", 2);
    add(r, "app.events", "users.create", 3);
    assert_int_equal(router_match(r, "jobs.users.create", NULL), 1);
    assert_int_equal(router_match(r, "jobs.users.create.now", NULL), 2);
    assert_int_equal(router_match(r, "app.events.users.create", NULL), 3);
    static const char *const none[] = {"jobs",
                                       "jobs.users",
                                       "jobs.users.creat",
                                       "jobs.users.created",
                                       "jobs.users.create.",
                                       "jobs.users..create",
                                       ".jobs.users.create",
                                       "jobs.users.create.now.x",
                                       "users.create",
                                       "",
                                       "."};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        if (router_match(r, none[i], NULL) != -1)
            fail_msg("'%s' matched", none[i]);
}

static void parameters_are_decoded(void **state) {
    struct router *r = *state;
    struct subject_params p = {0};
    add(r, "jobs", "users.get.$userId", 1);
    add(r, "jobs", "$org.members.$name", 2);
    assert_int_equal(router_match(r, "jobs.users.get.a%2eb%2Ec%20%C3%a9", &p), 1);
    assert_int_equal(p.n, 1);
    assert_string_equal(p.v[0].name, "userId");
    assert_string_equal(p.v[0].value, "a.b.c \303\251");
    subject_params_free(&p);
    assert_int_equal(router_match(r, "jobs.acme.members.$x", &p), 2);
    assert_int_equal(p.n, 2);
    assert_string_equal(p.v[0].value, "acme");
    assert_string_equal(p.v[1].name, "name");
    assert_string_equal(p.v[1].value, "$x");
    subject_params_free(&p);
    assert_int_equal(router_match(r, "jobs.users.get.1", NULL), 1);
    static const char *const bad[] = {
        "jobs.users.get.%00",  "jobs.users.get.a%00b",     "jobs.users.get.%ff",
        "jobs.users.get.%C3",  "jobs.users.get.%ed%a0%80", "jobs.users.get.%",
        "jobs.users.get.%4",   "jobs.users.get.%zz",       "jobs.users.get.%4z",
        "jobs.users.get.\xff", "jobs.users.get."};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (router_match(r, bad[i], &p) != -1)
            fail_msg("'%s' matched", bad[i]);
}

static void literal_wins_and_backtracks(void **state) {
    struct router *r = *state;
    struct subject_params p = {0};
    add(r, "jobs", "a.$x.c", 1);
    add(r, "jobs", "a.b.d", 2);
    add(r, "jobs", "$y.b.c.e", 3);
    add(r, "jobs", "a.b.$z", 4);
    assert_int_equal(router_match(r, "jobs.a.b.d", NULL), 2);
    assert_int_equal(router_match(r, "jobs.a.b.c", &p), 4); /* the leftmost literal decides */
    assert_string_equal(p.v[0].name, "z");
    subject_params_free(&p);
    assert_int_equal(router_match(r, "jobs.a.q.c", &p), 1);
    assert_string_equal(p.v[0].value, "q");
    subject_params_free(&p);
    assert_int_equal(router_match(r, "jobs.a.b.c.e", &p), 3); /* back to the first token */
    assert_int_equal(p.n, 1);
    assert_string_equal(p.v[0].value, "a");
    subject_params_free(&p);
    assert_int_equal(router_match(r, "jobs.a.b.c.f", NULL), -1);
}

static void conflicts_name_both(void **state) {
    struct router *r = *state;
    struct err e = {0};
    int other = 99;
    add(r, "jobs", "users.get.$id", 7);
    add(r, "jobs", "users.$id.posts", 8); /* other names elsewhere are no conflict */
    add(r, "events", "users.get.$id", 9);
    assert_int_equal(router_add(r, "jobs", "users.get.$id", 1, &other, &e), -1);
    assert_int_equal(other, 7);
    assert_err(&e, "'jobs.users.get.$id' is defined twice");
    assert_int_equal(router_add(r, "jobs", "users.get.$userId", 1, &other, &e), -1);
    assert_int_equal(other, 7);
    assert_err(&e, "jobs.users.get.$id");
    assert_err(&e, "jobs.users.get.$userId");
    assert_int_equal(router_add(r, "jobs", "users..get", 1, &other, &e), -1);
    assert_int_equal(other, -1);
    assert_int_equal(router_match(r, "jobs.users.get.5", NULL), 7);
    /* a queue's subject may end where another's path goes on */
    assert_int_equal(router_add(r, "jobs.users", "get.$id", 1, &other, &e), -1);
    assert_int_equal(other, 7);
}

static void paths_are_checked(void **state) {
    static const char *const good[] = {"a",   "users.create", "a-b.c_d.E9",
                                       "$id", "a.$b.$c_1",    "a.$_"};
    static const char *const bad[][2] = {
        {"", "empty part"},
        {"a..b", "empty part"},
        {".a", "empty part"},
        {"a.", "empty part"},
        {"a b", "other characters"},
        {"a.*", "other characters"},
        {"a.>", "other characters"},
        {"a.$", "without a name"},
        {"a.$1", "without a name"},
        {"a.$b-c", "parameter name"},
        {"a$b", "other characters"},
        {"$a.b.$a", "a twice"},
        {"caf\303\251", "other characters"},
        {"$a.$b.$c.$d.$e.$f.$g.$h.$i.$j.$k.$l.$m.$n.$o.$p.$q", "more than 16"}};
    struct err e = {0};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        if (subject_check_path(good[i], &e))
            fail_msg("%s", e.msg);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (subject_check_path(bad[i][0], &e) == 0)
            fail_msg("path '%s' was accepted", bad[i][0]);
        assert_err(&e, bad[i][1]);
        assert_err(&e, bad[i][0]);
        assert_int_equal(e.kind, ERR_CONFIG);
    }
}

static void literals_are_checked(void **state) {
    struct err e = {0};
    static const char *const bad[] = {"",           ".",       "a..b",       "a.*",
                                      ">",          "$JS.API", "a.$b",       "_INBOX",
                                      "_INBOX_1.x", "a b",     "a.\303\251", "a\n"};
    assert_int_equal(subject_check_literal("app.jobs", false, &e), 0);
    assert_int_equal(subject_check_literal("app:jobs/x", false, &e), 0);
    assert_int_equal(subject_check_literal("app.", false, &e), -1);
    assert_int_equal(subject_check_literal("app.", true, &e), 0);
    assert_int_equal(subject_check_literal("app", true, &e), 0);
    assert_int_equal(subject_check_literal("", true, &e), 0);
    assert_int_equal(subject_check_literal(".", true, &e), -1);
    assert_int_equal(subject_check_literal("a..", true, &e), -1);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (subject_check_literal(bad[i], false, &e) == 0)
            fail_msg("literal '%s' was accepted", bad[i]);
}

static void replies_go_to_inboxes_only(void **state) {
    static const char *const good[] = {"_INBOX.abc", "_INBOX.abc.1",
                                       "_INBOX_0b5f3f62-7f3c-4c1c-9a43-2c1f0f0c7d11.x",
                                       "_INBOX.mine2.x", "_INBOX.min"};
    static const char *const bad[] = {"",
                                      "jobs.users.create",
                                      "$JS.API.STREAM.DELETE.jobs",
                                      "_INBOX.$JS",
                                      "_INBOX.*",
                                      "_INBOX.>",
                                      "_INBOX.a*",
                                      "_INBOX.a b",
                                      "_INBOX.a\t",
                                      "_INBOX.a\r\nPUB x 0",
                                      "_INBOX.a\x7f",
                                      "_INBOX.\303\251",
                                      "_INBOX..a",
                                      "_INBOX.",
                                      "._INBOX.a",
                                      "_inbox.a",
                                      "_INBOX.mine",
                                      "_INBOX.mine.x"};
    static const char *const own[] = {"_INBOX.mine", "_INBOX.mine.", "_INBOX.mine.*",
                                      "_INBOX.mine.>"};
    for (size_t k = 0; k < 4; k++) {
        for (size_t i = 0; i < sizeof good / sizeof *good; i++)
            if (!subject_reply_allowed(good[i], own[k]))
                fail_msg("'%s' was refused", good[i]);
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
            if (subject_reply_allowed(bad[i], own[k]))
                fail_msg("'%s' was allowed", bad[i]);
    }
    assert_true(subject_reply_allowed("_INBOX.mine.x", NULL));
    char longest[SUBJECT_MAX + 2] = "_INBOX.";
    memset(longest + 7, 'x', sizeof longest - 8);
    assert_false(subject_reply_allowed(longest, NULL));
    longest[SUBJECT_MAX] = 0;
    assert_true(subject_reply_allowed(longest, NULL));
}

static void replies_go_below_configured_prefixes(void **state) {
    assert_true(subject_reply_prefixed("a.x", "a.,b.c."));
    assert_true(subject_reply_prefixed("b.c.x.y", "a.,b.c."));
    assert_false(subject_reply_prefixed("b.x", "a.,b.c."));
    assert_false(subject_reply_prefixed("a", "a.,b.c."));
    assert_false(subject_reply_prefixed("ab.x", "a.,b.c."));
    assert_false(subject_reply_prefixed("a.*", "a.,b.c."));
    assert_false(subject_reply_prefixed("a.", "a."));
    assert_false(subject_reply_prefixed("a.$JS", "a."));
    assert_false(subject_reply_prefixed("a.x", ""));
    assert_false(subject_reply_prefixed("a.x", ","));
}

static const char *lookup(const char *name, void *arg) {
    const char *const *pairs = arg;
    for (; *pairs; pairs += 2)
        if (strcmp(pairs[0], name) == 0)
            return pairs[1];
    return NULL;
}

static void builds_what_it_matches(void **state) {
    struct router *r = *state;
    struct buf out = {0};
    struct err e = {0};
    struct subject_params p = {0};
    const char *values[] = {"a", "x.y *>%/~\303\251$", "bc", "-_", NULL};
    assert_int_equal(subject_build("p.$a.q.$bc", lookup, values, &out, &e), 0);
    assert_string_equal(out.p, "p.x%2Ey%20%2A%3E%25%2F~%C3%A9%24.q.-_");
    add(r, "jobs", "p.$a.q.$bc", 1);
    char *full = xasprintf("jobs.%s", out.p);
    assert_int_equal(router_match(r, full, &p), 1);
    assert_string_equal(p.v[0].value, values[1]);
    subject_params_free(&p);
    free(full);
    assert_int_equal(subject_build("p.$b", lookup, values, &out, &e), -1);
    assert_err(&e, "parameter 'b' of path 'p.$b' is missing");
    values[1] = "";
    assert_int_equal(subject_build("p.$a", lookup, values, &out, &e), -1);
    assert_err(&e, "is empty");
    values[1] = "\xff";
    assert_int_equal(subject_build("p.$a", lookup, values, &out, &e), -1);
    assert_err(&e, "not valid UTF-8");
    char large[SUBJECT_MAX + 1] = "";
    memset(large, 'x', sizeof large - 1);
    values[1] = large;
    assert_int_equal(subject_build("p.$a", lookup, values, &out, &e), -1);
    assert_err(&e, "put long values into the input");
    buf_free(&out);
}

static void random_subjects(void **state) {
    static const char bytes[] = "ab..$%0eF*>\xff\xc3\xa9_ ";
    struct router *r = *state;
    unsigned seed = 11, matched = 0;
    add(r, "a", "$x", 1);
    add(r, "a", "b.$x", 2);
    add(r, "a", "$x.$y", 3);
    add(r, "b", "$x.a.$y.b", 4);
    for (int round = 0; round < 200000; round++) {
        char text[20] = "a.";
        size_t n = 2 + (size_t)rand_r(&seed) % (sizeof text - 3);
        for (size_t i = round % 2 ? 2 : 0; i < n; i++)
            text[i] = bytes[(size_t)rand_r(&seed) % (sizeof bytes - 1)];
        char *tight = xmemdup(text, n);
        struct subject_params p = {0};
        if (router_match(r, tight, &p) >= 0)
            matched++;
        for (size_t i = 0; i < p.n; i++)
            assert_true(*p.v[i].value && utf8_valid(p.v[i].value, strlen(p.v[i].value)));
        subject_params_free(&p);
        (void)!subject_check_path(tight, NULL);
        (void)!subject_check_literal(tight, round % 3 == 0, NULL);
        subject_reply_allowed(tight, "_INBOX.a");
        subject_reply_prefixed(tight, "a.,b.");
        free(tight);
    }
    assert_true(matched > 1000);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make_router, drop_router)
int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(literals_match_whole_subjects),
        TEST(parameters_are_decoded),
        TEST(literal_wins_and_backtracks),
        TEST(conflicts_name_both),
        cmocka_unit_test(paths_are_checked),
        cmocka_unit_test(literals_are_checked),
        cmocka_unit_test(replies_go_to_inboxes_only),
        cmocka_unit_test(replies_go_below_configured_prefixes),
        TEST(builds_what_it_matches),
        TEST(random_subjects),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
