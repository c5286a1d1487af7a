/* SPDX-License-Identifier: MIT */
/* The life of generations in a worker. That a state which nobody needs is closed at all is what the
 * build with sanitizers sees. */
#include "core/reload.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct fixture {
    uv_loop_t loop;
    struct reload *reload;
    struct buf packed;
    uint32_t built;
};

static void on_built(uint32_t number, const struct gen *g, const struct err *err, void *arg) {
    struct fixture *f = arg;
    if (!g)
        fail_msg("%s", err->msg);
    f->built = number;
}

static int setup(void **state) {
    struct fixture *f = xcalloc(1, sizeof *f);
    char text[] = "return require('rbf').defineBackend { queues = { jobs = {} } }\n";
    struct tree_file file = {"app.lua", text, strlen(text)};
    const struct tree tree = {.root = "/srv/app", .files = &file, .n = 1};
    tree_pack(&tree, &f->packed);
    uv_loop_init(&f->loop);
    f->reload = reload_new(&f->loop, RBF_SHARE "/lua", on_built, f);
    *state = f;
    return 0;
}

static int teardown(void **state) {
    struct fixture *f = *state;
    reload_delete(f->reload);
    int rc = uv_loop_close(&f->loop); /* nothing is left in it */
    buf_free(&f->packed);
    free(f);
    return rc;
}

static void build(struct fixture *f, uint32_t number) {
    reload_prepare(f->reload, number, f->packed.p, f->packed.len);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(f->built, number);
    assert_false(uv_loop_alive(&f->loop));
}

static void a_state_is_closed_by_the_pool(void **state) {
    struct fixture *f = *state;
    build(f, 1);
    struct gen *g = reload_take(f->reload, 1);
    assert_non_null(g);
    gen_unref(gen_ref(g));
    assert_false(uv_loop_alive(&f->loop));
    gen_unref(g);
    assert_true(uv_loop_alive(&f->loop)); /* it is at work */
    uv_run(&f->loop, UV_RUN_DEFAULT);
}

static void and_so_is_one_that_was_never_live(void **state) {
    struct fixture *f = *state;
    build(f, 1);
    reload_drop(f->reload);
    assert_true(uv_loop_alive(&f->loop));
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_null(reload_take(f->reload, 1));
}

static void after_the_loop_there_is_no_pool(void **state) {
    struct fixture *f = *state;
    build(f, 1);
    struct gen *g = reload_take(f->reload, 1);
    build(f, 2); /* which teardown finds kept */
    gen_bury(g, NULL, NULL);
    gen_unref(g);
    assert_false(uv_loop_alive(&f->loop));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_state_is_closed_by_the_pool),
        TEST(and_so_is_one_that_was_never_live),
        TEST(after_the_loop_there_is_no_pool),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
