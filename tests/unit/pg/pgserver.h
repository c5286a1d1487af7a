/* SPDX-License-Identifier: MIT */
/* pgserver - a private PostgreSQL for one test program: its own folder, a unix socket only, no
 * fsync. Root cannot run it, so then user postgres does. It ends with the test, however that ends.
 * Without PostgreSQL's programs the test fails. */
#ifndef RBF_TEST_PGSERVER_H
#define RBF_TEST_PGSERVER_H
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <libpq-fe.h>
#include <pwd.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct pgserver {
    char dir[64], url[160], bin[128];
    const char *more[16]; /* further arguments of postgres, for the next pgserver_run */
    pid_t pid;
};

static inline void pgserver_fail(const char *what) {
    fprintf(stderr, "pgserver: %s: %s\n", what, strerror(errno));
    exit(1);
}

static inline void pgserver_find(struct pgserver *s) {
    glob_t g = {0};
    if (glob("/usr/lib/postgresql/*/bin/postgres", 0, NULL, &g) != 0 || g.gl_pathc == 0)
        pgserver_fail("PostgreSQL is needed for this test: apt-get install postgresql");
    const char *path = g.gl_pathv[g.gl_pathc - 1];
    snprintf(s->bin, sizeof s->bin, "%.*s", (int)(strrchr(path, '/') - path), path);
    globfree(&g);
}

/* In the child: never as root, and not longer than the parent lives. */
static inline void pgserver_become(const char *log) {
    struct passwd *pw = getuid() == 0 ? getpwnam("postgres") : NULL;
    if (getuid() == 0 && (!pw || setgid(pw->pw_gid) != 0 || setuid(pw->pw_uid) != 0))
        pgserver_fail("cannot become user postgres");
    prctl(PR_SET_PDEATHSIG, SIGQUIT);
    int fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    dup2(fd, 1);
    dup2(fd, 2);
    if (chdir("/") != 0)
        pgserver_fail("chdir");
}

static inline pid_t pgserver_spawn(const struct pgserver *s, const char *program, char **argv) {
    char path[256], log[128];
    snprintf(path, sizeof path, "%s/%s", s->bin, program);
    snprintf(log, sizeof log, "%s/log", s->dir);
    pid_t pid = fork();
    if (pid == 0) {
        pgserver_become(log);
        argv[0] = path; /* initdb looks for its siblings by it */
        execv(path, argv);
        _exit(127);
    }
    return pid;
}

static inline void pgserver_run(struct pgserver *s) {
    char data[80];
    snprintf(data, sizeof data, "%s/data", s->dir);
    char *argv[32] = {
        "postgres",          "-D", data, "-k", s->dir, "-F", "-c", "listen_addresses=", "-c",
        "max_connections=30"};
    for (int i = 0; s->more[i]; i++)
        argv[10 + i] = (char *)s->more[i];
    s->pid = pgserver_spawn(s, "postgres", argv);
    for (int i = 0; i < 1000; i++) {
        if (PQping(s->url) == PQPING_OK)
            return;
        if (waitpid(s->pid, NULL, WNOHANG) == s->pid)
            break;
        usleep(20000);
    }
    pgserver_fail("the server did not start");
}

static inline void pgserver_halt(struct pgserver *s) {
    if (s->pid <= 0)
        return;
    kill(s->pid, SIGQUIT);
    waitpid(s->pid, NULL, 0);
    s->pid = 0;
}

static inline void pgserver_start(struct pgserver *s) {
    *s = (struct pgserver){.dir = "/tmp/rbfpg.XXXXXX"};
    pgserver_find(s);
    if (!mkdtemp(s->dir))
        pgserver_fail("mkdtemp");
    struct passwd *pw = getuid() == 0 ? getpwnam("postgres") : NULL;
    if (pw && chown(s->dir, pw->pw_uid, pw->pw_gid) != 0)
        pgserver_fail("chown");
    snprintf(s->url, sizeof s->url, "postgresql:///postgres?host=%s&user=postgres", s->dir);
    char data[80];
    snprintf(data, sizeof data, "%s/data", s->dir);
    char *argv[] = {"initdb", "-D", data, "-U",   "postgres",         "-A",
                    "trust",  "-N", "-E", "UTF8", "--locale=C.UTF-8", NULL};
    int status = 0;
    pid_t pid = pgserver_spawn(s, "initdb", argv);
    if (waitpid(pid, &status, 0) != pid || status != 0)
        pgserver_fail("initdb failed, see the file log in its folder");
    pgserver_run(s);
}

static inline void pgserver_stop(struct pgserver *s) {
    pgserver_halt(s);
    char command[96];
    snprintf(command, sizeof command, "rm -rf %s", s->dir);
    if (system(command) != 0)
        fprintf(stderr, "pgserver: %s stays\n", s->dir);
}

static inline void pgserver_quiet(void *arg, const char *message) {}

/* One statement by another connection; its first value, in a static buffer. */
static inline const char *pgserver_sql(const struct pgserver *s, const char *fmt, ...) {
    static char value[256];
    char sql[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(sql, sizeof sql, fmt, ap);
    va_end(ap);
    PGconn *pg = PQconnectdb(s->url);
    PQsetNoticeProcessor(pg, pgserver_quiet, NULL);
    PGresult *r = PQexec(pg, sql);
    if (PQresultStatus(r) != PGRES_COMMAND_OK && PQresultStatus(r) != PGRES_TUPLES_OK)
        fprintf(stderr, "pgserver: %s: %s", sql, PQerrorMessage(pg));
    snprintf(value, sizeof value, "%s", PQntuples(r) > 0 ? PQgetvalue(r, 0, 0) : "");
    PQclear(r);
    PQfinish(pg);
    return value;
}
#endif
