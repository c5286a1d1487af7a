/* SPDX-License-Identifier: MIT */
/* Failpoints: which of them act, how often, and what is written down. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/failpoint.h"
#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void set(const char *spec) {
    setenv("RBF_FAILPOINT", spec, 1);
    setenv("RBF_FAILPOINT_SEED", "7", 1);
    failpoint_reset();
}

static void chooses(void **state) {
    set("a:error,b:error#3");
    assert_true(failpoint_hit("a"));
    assert_true(failpoint_hit("a"));
    assert_false(failpoint_hit("c"));
    assert_false(failpoint_hit("b"));
    assert_false(failpoint_hit("b"));
    assert_true(failpoint_hit("b"));
    assert_false(failpoint_hit("b"));
    set("");
    assert_false(failpoint_hit("a"));
}

static int hits(void) {
    int n = 0;
    for (int i = 0; i < 10000; i++)
        n += failpoint_hit("p");
    return n;
}

static void draws(void **state) {
    set("p:error@0.25");
    int first = hits();
    assert_in_range(first, 2300, 2700);
    failpoint_reset();
    assert_int_equal(hits(), first); /* the same seed, the same draws */
}

/* What a child did that hit x once: its wait status. */
static int child(const char *spec) {
    int status;
    set(spec);
    pid_t pid = fork();
    if (pid == 0) {
        if (!freopen("/dev/null", "w", stderr))
            _exit(9);
        failpoint_hit("x");
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
    if (WIFSTOPPED(status)) {
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
    }
    return status;
}

static void acts(void **state) {
    char path[] = "/tmp/rbf-failpoint-XXXXXX", text[100] = "";
    close(mkstemp(path));
    setenv("RBF_FAILPOINT_LOG", path, 1);
    int status = child("x:kill");
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    status = child("x:stop");
    assert_true(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
    assert_int_equal(child("x:delay=1"), 0);
    FILE *f = fopen(path, "r");
    assert_true(fread(text, 1, sizeof text - 1, f) > 0);
    assert_string_equal(text, "x kill\nx stop\nx delay\n");
    fclose(f);
    unlink(path);
    unsetenv("RBF_FAILPOINT_LOG");
}

static void malformed(void **state) {
    static const char *const specs[] = {"x", "x:explode", ":", "x:delay"};
    for (size_t i = 0; i < sizeof specs / sizeof *specs; i++) {
        int status = child(specs[i]);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 2);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chooses),
        cmocka_unit_test(draws),
        cmocka_unit_test(acts),
        cmocka_unit_test(malformed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
