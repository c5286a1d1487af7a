/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "base/buf.h"
#include "base/log.h"
#include "ops/child.h"
#include "ops/server.h"
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Line of postmaster.pid that holds the state, as pg_ctl reads it. */
#define STATUS_LINE 8

/* Debian keeps versions side by side: the one the data was made with (0: none yet), else the
 * newest.
 */
static char *find_bindir(int version) {
    glob_t g;
    int best = 0;
    char *dir = NULL;
    if (glob("/usr/lib/postgresql/*/bin/postgres", 0, NULL, &g) == 0) {
        for (size_t i = 0; i < g.gl_pathc; i++) {
            int v = atoi(g.gl_pathv[i] + strlen("/usr/lib/postgresql/"));
            if (version ? v == version : v > best)
                best = v;
        }
        globfree(&g);
    }
    if (best)
        return xasprintf("/usr/lib/postgresql/%d/bin", best);
    static const char *const more[] = {"/usr/local/pgsql/bin", NULL};
    char *exe = server_find("postgres", more);
    if (exe) {
        dir = xstrdup(exe);
        *strrchr(dir, '/') = '\0';
    }
    free(exe);
    return dir;
}

static int data_version(const char *data) {
    char text[16] = "", *path = xasprintf("%s/PG_VERSION", data);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    free(path);
    if (fd < 0)
        return 0;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    return n > 0 ? atoi(text) : 0;
}

/* Without a server: the single-user mode reads SQL from its standard input. */
static int create_database(const struct server *s, const char *bin, const char *data,
                           struct err *err) {
    char *exe = xasprintf("%s/postgres", bin);
    const char *argv[] = {
        "/bin/sh", "-c", "echo 'CREATE DATABASE rbf;' | \"$0\" --single -D \"$1\" postgres",
        exe,       data, NULL};
    int rc = server_prepare(s, argv, err);
    free(exe);
    return rc;
}

/* Made beside and renamed, so that a crash in between leaves no half-made data. */
static int make_data(struct server *s, const char *bin, const char *data, struct err *err) {
    char *fresh = xasprintf("%s/pg.new", s->dir->home), *initdb = xasprintf("%s/initdb", bin);
    const char *argv[] = {initdb,  "-D", fresh,  "-U",          "rbf", "-A",
                          "trust", "-E", "UTF8", "--no-locale", NULL};
    statedir_remove(fresh);
    char *made = statedir_subfolder(s->dir, "pg.new", err);
    int rc = made ? server_prepare(s, argv, err) : -1;
    if (rc == 0)
        rc = create_database(s, bin, fresh, err);
    if (rc == 0 && rename(fresh, data) != 0)
        rc = err_set(err, ERR_SYS, "cannot rename %s: %s", fresh, strerror(errno));
    free(made);
    free(initdb);
    free(fresh);
    return rc;
}

/* PostgreSQL refuses to start when the pid in a stale postmaster.pid is alive, whoever has it now
 * (numbers come again soon in a container). We hold the folder's lock and no postgres is left in
 * it: then the file is stale. It stays when the pid is dead, for it tells of shared memory. */
static void drop_stale_pid(const char *data) {
    char text[16] = "", *path = xasprintf("%s/postmaster.pid", data);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0 && read(fd, text, sizeof text - 1) > 0 && atoi(text) > 0 &&
        (kill(atoi(text), 0) == 0 || errno != ESRCH))
        unlink(path);
    if (fd >= 0)
        close(fd);
    free(path);
}

/* The socket's folder is ours alone: whatever is in it is stale. */
static int clear_socket_folder(const struct server *s, struct err *err) {
    char *run = xasprintf("%s/run", s->dir->home);
    statedir_remove(run);
    free(run);
    run = statedir_subfolder(s->dir, "run", err);
    free(run);
    return run ? 0 : -1;
}

static void push(char **argv, int *n, char *arg) {
    argv[(*n)++] = arg;
    argv[*n] = NULL;
}

static char **command(const struct server *s) {
    static const char *const settings[] = {
        "listen_addresses=",    "port=5432",
        "max_connections=100",  "max_pred_locks_per_transaction=256",
        "shared_buffers=128MB", "logging_collector=off",
        "cluster_name=rbf",     NULL};
    char **argv = xcalloc(32, sizeof *argv);
    int n = 0;
    push(argv, &n, xstrdup(s->exe));
    push(argv, &n, xstrdup("-D"));
    push(argv, &n, xstrdup(s->data));
    push(argv, &n, xasprintf("-k%s/run", s->dir->home));
    for (int i = 0; settings[i]; i++)
        push(argv, &n, xasprintf("-c%s", settings[i]));
    return argv;
}

static void put_percent(struct buf *out, const char *s) {
    for (; *s; s++)
        if (isalnum((unsigned char)*s) || strchr("-._~/", *s))
            buf_putc(out, *s);
        else
            buf_printf(out, "%%%02X", (unsigned char)*s);
}

static void set_url(struct server *s) {
    struct buf url = {0};
    buf_puts(&url, "postgresql://rbf@/rbf?port=5432&host=");
    put_percent(&url, s->dir->home);
    buf_puts(&url, "/run");
    s->url = buf_steal(&url);
}

static bool ready(struct server *s) {
    char text[1024] = "", *path = xasprintf("%s/postmaster.pid", s->data), *line = text;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    free(path);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    for (int i = 1; n > 0 && line && i < STATUS_LINE; i++)
        if ((line = strchr(line, '\n')))
            line++;
    if (n <= 0 || !line || atoi(text) != (int)s->pid || strncmp(line, "ready", 5) != 0)
        return false;
    if (!s->url)
        set_url(s);
    return true;
}

int server_pg_init(struct server *s, const struct statedir *dir, struct err *err) {
    *s = (struct server){.name = "PostgreSQL",
                         .log = "postgres.log",
                         .fatal = "FATAL",
                         .dir = dir,
                         .start_ms = 60000, /* it may have to recover from a crash */
                         .stop_signal = SIGINT,
                         .stop_ms = 15000,
                         .command = command,
                         .ready = ready};
    char *name = xasprintf("pg%s", dir->suffix), *data = xasprintf("%s/%s", dir->home, name);
    int version = data_version(data), log = statedir_file(dir, s->log, true, err);
    char *bin = find_bindir(version);
    int rc = log < 0 ? -1 : 0;
    if (log >= 0)
        close(log);
    if (rc == 0 && !bin && version)
        rc = err_set(err, ERR_CONFIG,
                     "%s holds data of PostgreSQL %d, which is not installed: install it, or "
                     "remove that folder",
                     data, version);
    else if (rc == 0 && !bin)
        rc = err_set(err, ERR_CONFIG, "no PostgreSQL found: apt-get install postgresql");
    if (rc == 0) {
        s->exe = xasprintf("%s/postgres", bin);
        rc = statedir_end_orphans(data, "postgres", err);
    }
    if (rc == 0) {
        drop_stale_pid(data);
        rc = clear_socket_folder(s, err);
    }
    if (rc == 0 && !version)
        rc = make_data(s, bin, data, err);
    if (rc == 0)
        rc = (s->data = statedir_subfolder(dir, name, err)) ? 0 : -1;
    free(bin);
    free(data);
    free(name);
    return rc;
}
