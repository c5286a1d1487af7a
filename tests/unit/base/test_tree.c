/* SPDX-License-Identifier: MIT */
#include "base/tree.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[64];

static void write_file(const char *path, const char *text) {
    char full[256];
    snprintf(full, sizeof full, "%s/%s", dir, path);
    for (char *slash = full + strlen(dir) + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = 0;
        mkdir(full, 0755);
        *slash = '/';
    }
    FILE *f = fopen(full, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static int make_dir(void **state) {
    strcpy(dir, "/tmp/rbf-tree-XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state) {
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", dir);
    return system(command);
}

static struct tree *must_read(void) {
    struct err e = {0};
    struct tree *t = tree_read(dir, &e);
    if (!t)
        fail_msg("%s", e.msg);
    return t;
}

static void finds_lua_files(void **state) {
    write_file("users.lua", "return 1");
    write_file("mail/send.lua", "");
    write_file("app.lua", "return 2");
    write_file("users_spec.lua", "x");
    write_file("spec/helper.lua", "x");
    write_file("mail/spec/a.lua", "x");
    write_file("migrations/001.lua", "x");
    write_file(".git/hook.lua", "x");
    write_file(".#users.lua", "x");
    write_file("notes.txt", "x");
    char link[128];
    snprintf(link, sizeof link, "%s/gone.lua", dir);
    assert_int_equal(symlink("nowhere", link), 0);
    struct tree *t = must_read();
    assert_int_equal(t->n, 3);
    assert_string_equal(t->files[0].path, "app.lua");
    assert_string_equal(t->files[1].path, "mail/send.lua");
    assert_string_equal(t->files[2].path, "users.lua");
    assert_int_equal(t->files[1].len, 0);
    assert_string_equal(tree_find(t, "users.lua")->bytes, "return 1");
    assert_null(tree_find(t, "users"));
    assert_true(t->root[0] == '/');
    tree_delete(t);
    struct err e = {0};
    t = tree_read_with_specs(dir, &e);
    assert_non_null(t);
    assert_int_equal(t->n, 6);
    assert_string_equal(t->files[2].path, "mail/spec/a.lua");
    assert_string_equal(t->files[5].path, "users_spec.lua");
    tree_delete(t);
}

static void version_follows_content(void **state) {
    char first[13];
    write_file("a.lua", "return 1");
    struct tree *t = must_read();
    strcpy(first, t->version);
    assert_int_equal(strlen(first), 12);
    tree_delete(t);
    write_file("a.lua", "return 2");
    t = must_read();
    assert_string_not_equal(t->version, first);
    tree_delete(t);
    write_file("a.lua", "return 1");
    write_file("a_spec.lua", "not part of it");
    t = must_read();
    assert_string_equal(t->version, first);
    tree_delete(t);
}

static void says_what_is_missing(void **state) {
    struct err e = {0};
    assert_null(tree_read(dir, &e));
    assert_int_equal(e.kind, ERR_CONFIG);
    assert_non_null(strstr(e.msg, "no Lua file"));
    assert_null(tree_read("/nonexistent/app", &e));
    assert_non_null(strstr(e.msg, "/nonexistent/app"));
}

static void a_ring_of_links_ends(void **state) {
    char link[128];
    struct err e = {0};
    write_file("sub/a.lua", "return 1");
    snprintf(link, sizeof link, "%s/sub/up", dir);
    assert_int_equal(symlink("..", link), 0);
    assert_null(tree_read(dir, &e));
    assert_non_null(strstr(e.msg, "ring"));
}

static void packs_and_unpacks(void **state) {
    struct buf packed = {0};
    struct err e = {0};
    write_file("a.lua", "return 'a'");
    write_file("b/c.lua", "");
    struct tree *t = must_read();
    tree_pack(t, &packed);
    struct tree *u = tree_unpack(packed.p, packed.len, &e);
    assert_non_null(u);
    assert_string_equal(u->root, t->root);
    assert_string_equal(u->version, t->version);
    assert_int_equal(u->n, 2);
    assert_string_equal(tree_find(u, "a.lua")->bytes, "return 'a'");
    tree_delete(u);
    for (size_t n = 0; n < packed.len;
         n++) { /* cut anywhere: refused, or a whole prefix of files */
        char *cut = xmemdup(packed.p, n);
        u = tree_unpack(cut, n, &e);
        assert_true(!u || u->n < 2);
        tree_delete(u);
        free(cut);
    }
    tree_delete(t);
    buf_free(&packed);
}

static void random_bytes_are_refused(void **state) {
    unsigned seed = 7;
    for (int round = 0; round < 100000; round++) {
        size_t n = (size_t)rand_r(&seed) % 40;
        unsigned char *bytes = malloc(n + 1);
        for (size_t i = 0; i < n; i++) /* small numbers make plausible lengths */
            bytes[i] = (unsigned char)(rand_r(&seed) % 5 ? rand_r(&seed) % 4 : rand_r(&seed));
        tree_delete(tree_unpack(bytes, n, NULL));
        free(bytes);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(finds_lua_files, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(version_follows_content, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(says_what_is_missing, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(a_ring_of_links_ends, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(packs_and_unpacks, make_dir, remove_dir),
        cmocka_unit_test(random_bytes_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
