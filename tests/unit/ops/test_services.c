/* SPDX-License-Identifier: MIT */
/* The embedded servers, for real: started, found, killed, taken over and stopped. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants these first */
#include "base/buf.h"
#include "base/clock.h"
#include "ops/child.h"
#include "ops/services.h"
#include "ops/statedir.h"
#include <arpa/inet.h>
#include <cmocka.h>
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[64];

static int make_folder(void **state) {
    strcpy(folder, "/tmp/rbf-services-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state) {
    statedir_remove(folder);
    return 0;
}

static struct services *start(void) {
    struct err err = {0};
    struct services *s =
        services_start(&(struct services_options){.state_dir = folder, .app_dir = "/app"}, &err);
    if (!s)
        fail_msg("%s", err.msg);
    return s;
}

/* One SQL statement by psql: what it prints, without the line's end. */
static void sql(const char *url, const char *statement, char *out, size_t n) {
    char *line = xasprintf("psql -XAtq -d '%s' -c \"%s\"", url, statement);
    FILE *f = popen(line, "r");
    assert_non_null(f);
    out[0] = '\0';
    if (fgets(out, (int)n, f))
        out[strcspn(out, "\n")] = '\0';
    assert_int_equal(pclose(f), 0);
    free(line);
}

/* The first bytes a NATS server says, "" when nobody listens. */
static void greeting(const char *url, char *out, size_t n) {
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)atoi(strrchr(url, ':') + 1)),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ssize_t got = 0;
    if (connect(fd, (struct sockaddr *)&a, sizeof a) == 0)
        got = read(fd, out, n - 1);
    out[got < 0 ? 0 : got] = '\0';
    close(fd);
}

static pid_t find_server(const char *dir, const char *program) {
    char path[64], cwd[300], exe[300];
    pid_t found = 0;
    DIR *d = opendir("/proc");
    for (struct dirent *e; (e = readdir(d));) {
        snprintf(path, sizeof path, "/proc/%.20s/cwd", e->d_name);
        ssize_t n = readlink(path, cwd, sizeof cwd - 1);
        cwd[n < 0 ? 0 : n] = '\0';
        snprintf(path, sizeof path, "/proc/%.20s/exe", e->d_name);
        n = readlink(path, exe, sizeof exe - 1);
        exe[n < 0 ? 0 : n] = '\0';
        /* the postmaster has the lowest number of its family */
        if (n > 0 && strncmp(cwd, dir, strlen(dir)) == 0 && strstr(exe, program) &&
            (!found || atoi(e->d_name) < found))
            found = atoi(e->d_name);
    }
    closedir(d);
    return found;
}

static void test_start_stop_twice(void **state) {
    char out[1000];
    struct err err;
    struct services_dev dev;
    struct services *s = start();
    sql(services_database_url(s), "CREATE TABLE kept AS SELECT 42 AS n", out, sizeof out);
    sql(services_database_url(s), "SHOW fsync", out, sizeof out);
    assert_string_equal(out, "on");
    greeting(services_nats_url(s), out, sizeof out);
    assert_memory_equal(out, "INFO ", 5);
    assert_non_null(strstr(out, "\"auth_required\":true"));
    assert_int_equal(services_find(folder, &dev, &err), 0);
    assert_int_equal(dev.pid, getpid());
    assert_string_equal(dev.database_url, services_database_url(s));
    assert_string_equal(dev.nats_url, services_nats_url(s));
    assert_string_equal(dev.app_dir, "/app");
    assert_string_equal(dev.namespace_, "default");
    services_dev_free(&dev);
    services_stop(s);
    assert_int_equal(services_find(folder, &dev, &err), -1);
    assert_int_equal(find_server(folder, "postgres"), 0);
    assert_int_equal(find_server(folder, "nats-server"), 0);

    char *data = xasprintf("%s/pg", folder); /* somebody's chmod -R, which PostgreSQL refuses */
    assert_int_equal(chmod(data, 0755), 0);
    free(data);
    s = start();
    sql(services_database_url(s), "SELECT n FROM kept", out, sizeof out);
    assert_string_equal(out, "42");
    services_stop(s);
}

static void assert_mode(const char *home, const char *name, mode_t mode) {
    struct stat st;
    char *path = xasprintf("%s/%s", home, name);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, mode);
    free(path);
}

static void test_private(void **state) {
    struct services *s = start();
    assert_mode(services_home(s), "run", 0700);
    assert_mode(services_home(s), "pg", 0700);
    assert_mode(services_home(s), "nats", 0700);
    assert_mode(services_home(s), "nats.conf", 0600);
    assert_mode(folder, "dev.json", 0600);
    services_stop(s);
}

static void test_second_run_is_refused(void **state) {
    struct err err = {0};
    char pid[32];
    struct services *s = start();
    assert_null(services_start(&(struct services_options){.state_dir = folder}, &err));
    snprintf(pid, sizeof pid, "(pid %d)", (int)getpid());
    assert_non_null(strstr(err.msg, pid));
    services_stop(s);
}

/* Ticks until cond's server answers again. */
static void tick_until_back(struct services *s, const char *program, pid_t old) {
    uint64_t end = clock_mono_ms() + 20000;
    pid_t now;
    do {
        services_tick(s);
        usleep(10000);
        now = find_server(services_home(s), program);
    } while ((!now || now == old) && clock_mono_ms() < end);
    assert_true(now != 0 && now != old);
}

static void test_killed_servers_come_back(void **state) {
    char out[1000] = "";
    struct services *s = start();
    char *nats_url = xstrdup(services_nats_url(s));
    pid_t nats = find_server(services_home(s), "nats-server");
    pid_t pg = find_server(services_home(s), "postgres");
    assert_true(nats > 0 && pg > 0);
    kill(nats, SIGKILL);
    kill(pg, SIGKILL);
    tick_until_back(s, "nats-server", nats);
    for (int i = 0; i < 500 && !out[0]; i++, usleep(10000))
        greeting(nats_url, out, sizeof out); /* on the same port */
    assert_memory_equal(out, "INFO ", 5);
    char *ping = xasprintf("pg_isready -q -t 1 -d '%s'", services_database_url(s));
    int rc = -1;
    for (int i = 0; i < 1000 && rc != 0; i++, usleep(20000)) {
        services_tick(s);
        rc = system(ping);
    }
    assert_int_equal(rc, 0);
    free(ping);
    free(nats_url);
    services_stop(s);
}

/* Starts services in another process, which dies by SIGKILL and leaves a postmaster that cannot
 * notice. */
static void crash_a_run(void) {
    pid_t pid = fork();
    int status;
    if (pid == 0) {
        struct err err;
        struct services *s = services_start(&(struct services_options){.state_dir = folder}, &err);
        if (s && kill(find_server(services_home(s), "postgres"), SIGSTOP) == 0)
            kill(getpid(), SIGKILL);
        _exit(1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
}

static void test_takes_over_after_a_crash(void **state) {
    struct err err;
    struct services_dev dev;
    char out[100];
    crash_a_run();
    assert_int_equal(services_find(folder, &dev, &err), -1);
    pid_t orphan = find_server(folder, "postgres");
    assert_true(orphan > 0);
    struct services *s = start();
    assert_int_not_equal(find_server(folder, "postgres"), orphan);
    sql(services_database_url(s), "SELECT 1", out, sizeof out);
    assert_string_equal(out, "1");
    services_stop(s);
}

static void shell(const char *line) {
    assert_int_equal(system(line), 0);
}

/* The number of the postmaster that crashed may belong to another process by now; only one of the
 * same user makes PostgreSQL refuse. */
static void test_pid_file_of_a_crash(void **state) {
    struct err err;
    struct stat st;
    pid_t other;
    static const char *const sleeper[] = {"/bin/sleep", "60", NULL};
    struct services *s = start();
    char *pg = xasprintf("%s/pg", services_home(s));
    assert_int_equal(stat(pg, &st), 0);
    struct child_spec spec = {.argv = sleeper,
                              .uid = st.st_uid,
                              .gid = st.st_gid,
                              .death_signal = SIGKILL,
                              .out_fd = -1,
                              .ctl_fd = -1};
    assert_int_equal(child_start(&spec, &other, &err), 0);
    char *keep = xasprintf("sed '1s/.*/%d/' %s/postmaster.pid > %s/stale", (int)other, pg, folder);
    char *put = xasprintf("cp %s/stale %s/postmaster.pid && chown %d %s/postmaster.pid", folder, pg,
                          (int)st.st_uid, pg);
    shell(keep);
    services_stop(s);
    shell(put);
    services_stop(start());
    child_stop(other, SIGKILL, 0);
    free(put);
    free(keep);
    free(pg);
}

static void test_throwaway_leaves_nothing(void **state) {
    struct err err;
    char *deep = xasprintf("%s/%0100d", folder, 0); /* too long for a socket's path */
    struct services *s =
        services_start(&(struct services_options){.state_dir = deep, .throwaway = true}, &err);
    if (!s)
        fail_msg("%s", err.msg);
    char *home = xstrdup(services_home(s));
    assert_memory_equal(home, "/var/tmp/rbf-", 13);
    services_stop(s);
    assert_int_equal(access(home, F_OK), -1);
    assert_int_equal(access(deep, F_OK), -1);
    free(home);
    free(deep);
}

static void says(const char *app_dir, const char *statement, const char *answer) {
    struct err err = {0};
    char said[64];
    struct services *s =
        services_start(&(struct services_options){.state_dir = folder, .app_dir = app_dir}, &err);
    if (!s)
        fail_msg("%s", err.msg);
    sql(services_database_url(s), statement, said, sizeof said);
    services_stop(s);
    assert_string_equal(said, answer);
}

/* Two apps tried in the same folder, with tables of the same name. */
static void test_apps_have_their_own(void **state) {
    says("/usr/bin", "CREATE TABLE users (a int)", "");
    says("/usr/sbin", "CREATE TABLE users (b int)", "");
    says("/usr/../usr/bin",
         "SELECT column_name FROM information_schema.columns WHERE table_name = 'users'", "a");
}

int main(void) {
    setenv("PGPORT", "1", 1); /* the user's own settings must not matter */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_start_stop_twice, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_private, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_apps_have_their_own, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_second_run_is_refused, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_killed_servers_come_back, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_takes_over_after_a_crash, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_pid_file_of_a_crash, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_throwaway_leaves_nothing, make_folder, remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
