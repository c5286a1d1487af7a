/* SPDX-License-Identifier: MIT */
/* The supervisor with workers that are this program again (argv[1] "worker"): they do as the words
 * in their generation's app.lua tell, and note each frame in a file: "<pid> <what> <app.lua>". */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants these first */
#include "base/clock.h"
#include "base/tree.h"
#include "ops/statedir.h"
#include "ops/supervisor.h"
#include "wire/ctl.h"
#include <cmocka.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* ------------------------------------------------------------------ the worker */

static void note(const char *what, const char *text) {
    char *line = xasprintf("%d %s %s\n", (int)getpid(), what, text);
    int fd = open(getenv("NOTES"), O_WRONLY | O_APPEND | O_CREAT, 0600);
    if (write(fd, line, strlen(line)) < 0)
        abort();
    close(fd);
    free(line);
}

/* Lines of the notes that contain text; the first word of the last one to *pid. */
static int count(const char *text, pid_t *pid) {
    char line[300];
    int n = 0;
    FILE *f = fopen(getenv("NOTES"), "r");
    while (f && fgets(line, sizeof line, f))
        if (strstr(line, text)) {
            n++;
            if (pid)
                *pid = atoi(line);
        }
    if (f)
        fclose(f);
    return n;
}

static void say(enum ctl_type type, uint32_t number, const char *payload) {
    struct buf out = {0};
    ctl_put(&out, type, number, payload, strlen(payload));
    if (write(CTL_FD, out.p, out.len) < 0)
        _exit(3);
    buf_free(&out);
}

static char app[200]; /* app.lua of the last PREPARE */

static bool first_of_its_kind(void) {
    char *path = xasprintf("%s.claimed", getenv("NOTES"));
    int fd = open(path, O_CREAT | O_EXCL, 0600);
    free(path);
    return fd >= 0;
}

static void on_prepare(const struct ctl_frame *f) {
    struct err err;
    struct tree *t = tree_unpack(f->payload, f->len, &err);
    const struct tree_file *file = tree_find(t, "app.lua");
    snprintf(app, sizeof app, "%.*s", (int)strcspn(file->bytes, "\n"), file->bytes);
    tree_delete(t);
    note("prepare", app);
    if (strstr(app, "crash"))
        raise(SIGKILL);
    if (strstr(app, "fatal")) {
        say(CTL_FATAL, 0, "no such stream");
        _exit(1);
    }
    bool splits = strstr(app, "split") && first_of_its_kind();
    if (splits)
        usleep(200000); /* the others have built it by then */
    if (splits || strstr(app, "refuse"))
        say(CTL_REFUSED, f->number, "app.lua:1: refused");
    else
        say(CTL_PREPARED, f->number, "{\"operations\":[]}");
}

/* One of them is slow to serve; the other serves, and dies, four times. */
static void on_mortal_commit(uint32_t number) {
    bool slow = first_of_its_kind();
    while (slow && count("dies", NULL) < 4)
        usleep(10000);
    say(CTL_LIVE, number, "");
    if (!slow && count("dies", NULL) < 4) {
        note("dies", app);
        raise(SIGKILL);
    }
}

static void on_frame(const struct ctl_frame *f) {
    switch (f->type) {
    case CTL_PREPARE:
        on_prepare(f);
        break;
    case CTL_COMMIT:
        note("commit", app);
        if (strstr(app, "mortal"))
            on_mortal_commit(f->number);
        else
            say(CTL_LIVE, f->number, "");
        if (strstr(app, "silent") && first_of_its_kind())
            for (;;)
                pause();
        break;
    case CTL_ABORT:
        note("abort", app);
        break;
    case CTL_DRAIN:
        note("drain", app);
        if (!strstr(app, "stubborn"))
            _exit(0);
        break;
    default:
        _exit(4);
    }
}

static int worker(void) {
    struct buf in = {0};
    struct ctl_frame f;
    size_t used;
    note("start", "");
    for (;;) {
        struct pollfd p = {.fd = CTL_FD, .events = POLLIN};
        if (poll(&p, 1, 500) == 1) {
            buf_reserve(&in, 65536);
            ssize_t n = read(CTL_FD, in.p + in.len, 65536);
            while (n <= 0 && strstr(app, "stubborn"))
                pause();
            if (n <= 0)
                _exit(2);
            in.len += (size_t)n;
        }
        while (ctl_take(&in, &f, &used) == 1) {
            on_frame(&f);
            memmove(in.p, in.p + used, in.len - used);
            in.len -= used;
        }
        say(CTL_BEAT, 0, "");
    }
}

/* ------------------------------------------------------------------ the tests */

static char folder[64];
static pid_t supervisor;
static int *terminal; /* where its end goes when the supervisor gets one; NULL: none */

static void write_app(const char *text) {
    char *temp = xasprintf("%s/app/.new", folder), *path = xasprintf("%s/app/app.lua", folder);
    FILE *f = fopen(temp, "w");
    fprintf(f, "%s\n", text);
    fclose(f);
    assert_int_equal(rename(temp, path), 0);
    free(temp);
    free(path);
}

#define PATIENCE_MS 30000 /* on a busy machine, with sanitizers */

static pid_t await(const char *text, int n) {
    uint64_t end = clock_mono_ms() + PATIENCE_MS;
    pid_t pid = 0;
    while (count(text, &pid) < n)
        if (clock_mono_ms() < end)
            usleep(5000);
        else
            fail_msg("'%s' noted %d times, not %d", text, count(text, NULL), n);
    return pid;
}

static void on_live(bool first, const char *describe, void *arg) {
    note(first ? "LIVE-FIRST" : "LIVE-AGAIN", describe);
}

static void on_reload_failed(const char *message, void *arg) {
    note("FAILED", message);
}

static void run(int workers, bool patient, int64_t shutdown_timeout_ms) {
    static char *const argv[] = {(char *)"rbf", (char *)"worker", NULL};
    char *dir = xasprintf("%s/app", folder);
    supervisor = terminal ? forkpty(terminal, NULL, NULL, NULL) : fork();
    if (supervisor == 0)
        _exit(
            supervisor_run(&(struct supervisor_options){.app_dir = dir,
                                                        .workers = workers,
                                                        .worker_argv = argv,
                                                        .shutdown_timeout_ms = shutdown_timeout_ms,
                                                        .watch = true,
                                                        .patient = patient,
                                                        .on_live = on_live,
                                                        .on_reload_failed = on_reload_failed}));
    free(dir);
}

static int exit_code(void) {
    int status;
    for (int i = 0; i < PATIENCE_MS / 5; i++, usleep(5000))
        if (waitpid(supervisor, &status, WNOHANG) == supervisor) {
            supervisor = 0;
            return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
        }
    return -1;
}

static void stop_with_drain(void) {
    kill(supervisor, SIGTERM);
    assert_int_equal(exit_code(), 0);
}

/* A zombie that nobody reaps has no program any more. */
static bool runs(pid_t pid) {
    char path[64], exe[8];
    snprintf(path, sizeof path, "/proc/%d/exe", (int)pid);
    return readlink(path, exe, sizeof exe) > 0;
}

static int set_up(void **state) {
    strcpy(folder, "/tmp/rbf-supervisor-XXXXXX");
    char *app_dir = mkdtemp(folder) ? xasprintf("%s/app", folder) : NULL;
    char *notes = xasprintf("%s/notes", folder);
    setenv("NOTES", notes, 1);
    int rc = app_dir && system(NULL) ? 0 : -1;
    char *line = xasprintf("mkdir %s", app_dir);
    rc |= system(line);
    free(line);
    free(notes);
    free(app_dir);
    return rc;
}

static int tear_down(void **state) {
    if (supervisor > 0) {
        kill(supervisor, SIGKILL);
        waitpid(supervisor, NULL, 0);
        supervisor = 0;
    }
    statedir_remove(folder);
    return 0;
}

static void test_start_and_drain(void **state) {
    write_app("one");
    run(2, false, 3000);
    await("LIVE-FIRST {\"operations\":[]}", 1);
    assert_int_equal(count("commit one", NULL), 2);
    kill(supervisor, SIGTERM);
    assert_int_equal(exit_code(), 0);
    assert_int_equal(count("drain one", NULL), 2);
    assert_int_equal(count("start", NULL), 2);
}

static void test_crashed_worker_gets_the_same_bytes(void **state) {
    write_app("one");
    run(1, false, 3000);
    pid_t pid = await("commit one", 1);
    write_app("refuse");
    await("FAILED app.lua:1: refused", 1);
    kill(pid, SIGKILL);
    assert_true(await("commit one", 2) != pid);
    assert_int_equal(count("prepare refuse", NULL), 1);
    stop_with_drain();
}

static void test_reload(void **state) {
    write_app("one");
    run(2, false, 3000);
    await("LIVE-FIRST", 1);
    write_app("two");
    await("LIVE-AGAIN", 1);
    assert_int_equal(count("commit two", NULL), 2);
    kill(supervisor, SIGHUP); /* nothing new */
    write_app("two");
    usleep(400000);
    assert_int_equal(count("prepare two", NULL), 2);
    stop_with_drain();
}

static void test_many_saves_end_at_the_last(void **state) {
    char text[16];
    write_app("start");
    run(2, false, 3000);
    await("LIVE-FIRST", 1);
    for (int i = 0; i <= 60; i++, usleep(20000)) {
        snprintf(text, sizeof text, "v%d", i);
        write_app(text);
        kill(supervisor, SIGHUP);
    }
    await("commit v60", 2);
    stop_with_drain();
}

static void test_all_or_none(void **state) {
    write_app("one");
    run(3, false, 3000);
    await("LIVE-FIRST", 1);
    write_app("split"); /* one of three refuses it */
    await("abort split", 2);
    await("FAILED app.lua:1: refused", 1);
    assert_int_equal(count("prepare split", NULL), 3);
    assert_int_equal(count("commit split", NULL), 0);
    write_app("three");
    await("commit three", 3);
    stop_with_drain();
}

static void test_deadly_generation_is_refused(void **state) {
    write_app("one");
    run(2, false, 3000);
    await("LIVE-FIRST", 1);
    write_app("crash");
    await("FAILED every worker died", 1);
    await("commit one", 4); /* two at the start, two replacements */
    assert_int_equal(count("prepare crash", NULL), 2);
    write_app("two");
    await("commit two", 2);
    stop_with_drain();
}

static void test_refused_first_generation(void **state) {
    write_app("refuse");
    run(2, false, 3000);
    assert_int_equal(exit_code(), 1);
    assert_int_equal(count("FAILED app.lua:1: refused", NULL), 1);
}

static void test_patient_waits_for_the_next_save(void **state) {
    run(1, true, 3000); /* no file at all */
    await("FAILED", 1);
    write_app("refuse");
    await("FAILED app.lua:1: refused", 1);
    write_app("good");
    await("LIVE-FIRST", 1);
    assert_int_equal(count("start", NULL), 1);
    stop_with_drain();
}

static void test_fatal_at_start(void **state) {
    write_app("fatal");
    run(1, true, 3000);
    assert_int_equal(exit_code(), 1);
}

static void test_deadly_start_gives_up(void **state) {
    write_app("crash");
    run(1, false, 3000);
    assert_int_equal(exit_code(), 1);
    assert_int_equal(count("start", NULL), 3);
}

/* What it serves kills it, not its start. */
static void test_deaths_of_those_that_serve(void **state) {
    write_app("mortal");
    run(2, false, 3000);
    await("LIVE-FIRST", 1);
    assert_int_equal(count("dies", NULL), 4);
    stop_with_drain();
}

static void test_stubborn_worker_is_killed(void **state) {
    write_app("stubborn");
    run(1, false, 3000); /* enough to note the frame */
    await("LIVE-FIRST", 1);
    kill(supervisor, SIGINT);
    await("drain stubborn", 1);
    assert_int_equal(exit_code(), 0);
}

static void test_second_signal_ends_at_once(void **state) {
    write_app("stubborn");
    run(1, false, 60000);
    pid_t pid = await("commit stubborn", 1);
    kill(supervisor, SIGTERM);
    await("drain stubborn", 1);
    kill(supervisor, SIGTERM);
    assert_int_equal(exit_code(), 130);
    assert_false(runs(pid));
}

static void test_silent_worker_is_replaced(void **state) {
    write_app("silent");
    run(1, false, 1000);
    pid_t pid = await("commit silent", 1);
    assert_true(await("commit silent", 2) != pid);
    assert_false(runs(pid));
    stop_with_drain();
}

static void test_closed_terminal_drains(void **state) {
    int fd;
    write_app("one");
    terminal = &fd;
    run(1, false, 3000);
    terminal = NULL;
    await("LIVE-FIRST", 1);
    close(fd);
    assert_int_equal(exit_code(), 0);
    assert_int_equal(count("drain one", NULL), 1);
}

static void test_workers_end_with_us(void **state) {
    write_app("stubborn");
    run(1, false, 1000);
    pid_t pid = await("commit stubborn", 1);
    kill(supervisor, SIGKILL);
    assert_int_equal(exit_code(), 1000 + SIGKILL);
    for (int i = 0; i < PATIENCE_MS / 5 && runs(pid); i++)
        usleep(5000);
    assert_false(runs(pid));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(int argc, char **argv) {
    if (argc > 1 && strcmp(argv[1], "worker") == 0)
        return worker();
    const struct CMUnitTest tests[] = {
        TEST(test_start_and_drain),
        TEST(test_crashed_worker_gets_the_same_bytes),
        TEST(test_reload),
        TEST(test_many_saves_end_at_the_last),
        TEST(test_all_or_none),
        TEST(test_deadly_generation_is_refused),
        TEST(test_refused_first_generation),
        TEST(test_patient_waits_for_the_next_save),
        TEST(test_fatal_at_start),
        TEST(test_deadly_start_gives_up),
        TEST(test_deaths_of_those_that_serve),
        TEST(test_stubborn_worker_is_killed),
        TEST(test_second_signal_ends_at_once),
        TEST(test_silent_worker_is_replaced),
        TEST(test_closed_terminal_drains),
        TEST(test_workers_end_with_us),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
