/* SPDX-License-Identifier: MIT */
/* Watching a folder: what editors and checkouts do is noticed, once. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants these first */
#include "base/buf.h"
#include "base/clock.h"
#include "ops/statedir.h"
#include "ops/watch.h"
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define QUIET_MS 90

static char folder[64];
static uv_loop_t loop;
static struct watch *watching;
static int calls;
static bool with_specs;

static void on_change(void *arg) {
    calls++;
}

static void shell(const char *line) {
    char *in_folder = xasprintf("cd %s && %s", folder, line);
    assert_int_equal(system(in_folder), 0);
    free(in_folder);
}

static int set_up(void **state) {
    struct err err;
    strcpy(folder, "/tmp/rbf-watch-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    shell("mkdir -p app/mail && echo 1 > app/a.lua && echo 1 > app/mail/b.lua");
    char *app = xasprintf("%s/app", folder);
    uv_loop_init(&loop);
    watching = watch_new(&loop, app, with_specs, QUIET_MS, on_change, NULL, &err);
    free(app);
    calls = 0;
    return watching ? 0 : -1;
}

static int set_up_with_specs(void **state) {
    with_specs = true;
    int rc = set_up(state);
    with_specs = false;
    return rc;
}

static int tear_down(void **state) {
    watch_delete(watching);
    uv_run(&loop, UV_RUN_DEFAULT);
    statedir_remove(folder);
    return uv_loop_close(&loop);
}

static void run_for(unsigned ms) {
    uint64_t end = clock_mono_ms() + ms;
    while (clock_mono_ms() < end) {
        uv_run(&loop, UV_RUN_NOWAIT);
        usleep(2000);
    }
}

/* Exactly one call, and none before the quiet time. */
static void expect_one_call(void) {
    uint64_t start = clock_mono_ms(), end = start + 30000;
    while (calls == 0 && clock_mono_ms() < end) {
        uv_run(&loop, UV_RUN_NOWAIT);
        usleep(1000);
    }
    assert_int_equal(calls, 1);
    assert_true(clock_mono_ms() - start >= QUIET_MS - 10);
    run_for(3 * QUIET_MS);
    assert_int_equal(calls, 1);
    calls = 0;
}

static void test_quiet_without_changes(void **state) {
    run_for(1500);
    assert_int_equal(calls, 0);
}

static void test_edit(void **state) {
    shell("echo 2 > app/a.lua");
    expect_one_call();
    shell("echo 2 > app/mail/b.lua");
    expect_one_call();
}

static void test_rename_over_save(void **state) {
    for (int i = 0; i < 3; i++) {
        shell("echo 2 > app/.a.lua.tmp && mv app/.a.lua.tmp app/a.lua");
        expect_one_call();
    }
}

static void test_new_subfolder(void **state) {
    shell("mkdir -p app/deep/er && echo 1 > app/deep/er/c.lua");
    expect_one_call();
    shell("echo 2 > app/deep/er/c.lua"); /* below folders that were not there at first */
    expect_one_call();
}

static void test_removed_and_made_again(void **state) {
    shell("rm -r app/mail && mkdir app/mail && echo 3 > app/mail/b.lua");
    expect_one_call();
    shell("echo 4 > app/mail/b.lua");
    expect_one_call();
    shell("mv app/mail app/post");
    expect_one_call();
    shell("echo 5 > app/post/b.lua");
    expect_one_call();
    shell("rm -r app/post");
    expect_one_call();
}

static void test_whole_folder_replaced(void **state) {
    shell("mv app old");
    run_for(1500);
    calls = 0;
    shell("cp -r old app");
    expect_one_call();
    shell("echo 6 > app/a.lua");
    expect_one_call();
    shell("echo 7 > old/a.lua");
    run_for(3 * QUIET_MS);
    assert_int_equal(calls, 0);
}

static void append(const char *file) {
    char *path = xasprintf("%s/%s", folder, file);
    FILE *f = fopen(path, "a");
    assert_non_null(f);
    fputs("x\n", f);
    fclose(f);
    free(path);
}

static void test_constant_changes_do_not_starve(void **state) {
    int pauses = 0; /* a busy machine made: each may be a quiet time */
    uint64_t begun = clock_mono_ms(), now = begun;
    for (int i = 0; i < 100; i++) {
        append("app/a.lua");
        run_for(20);
        uint64_t before = now;
        now = clock_mono_ms();
        pauses += now - before >= QUIET_MS / 2;
    }
    assert_in_range(calls, 1, (now - begun) / 1000 + 1 + pauses);
}

static void test_specs_only_when_asked(void **state) {
    shell("mkdir app/spec && echo 1 > app/spec/a_spec.lua");
    expect_one_call();
    shell("echo 2 > app/spec/a_spec.lua");
    expect_one_call();
}

static void test_no_specs(void **state) {
    shell("mkdir app/spec");
    expect_one_call();
    shell("echo 2 > app/spec/a_spec.lua");
    run_for(3 * QUIET_MS);
    assert_int_equal(calls, 0);
}

static void test_missing_folder(void **state) {
    struct err err = {0};
    assert_null(watch_new(&loop, "/nonexistent/app", false, QUIET_MS, on_change, NULL, &err));
    assert_non_null(strstr(err.msg, "/nonexistent/app"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_quiet_without_changes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_edit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_specs_only_when_asked, set_up_with_specs, tear_down),
        cmocka_unit_test_setup_teardown(test_no_specs, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_rename_over_save, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_new_subfolder, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_removed_and_made_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_whole_folder_replaced, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_constant_changes_do_not_starve, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_missing_folder, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
