/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "ops/server.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "ops/child.h"
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PAUSE_FIRST_MS 100
#define PAUSE_MAX_MS 5000
#define HEALTHY_MS 10000

/* Nothing of the user's PG* or NATS variables reaches them. */
static const char *const server_env[] = {"PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
                                         "LC_ALL=C", NULL};

char *server_find(const char *program, const char *const *more) {
    const char *path = getenv("PATH");
    char *folders = xstrdup(path ? path : ""), *found = NULL, *rest;
    for (char *f = strtok_r(folders, ":", &rest); f && !found; f = strtok_r(NULL, ":", &rest)) {
        found = xasprintf("%s/%s", f, program);
        if (access(found, X_OK) != 0) {
            free(found);
            found = NULL;
        }
    }
    free(folders);
    for (; !found && *more; more++) {
        found = xasprintf("%s/%s", *more, program);
        if (access(found, X_OK) != 0) {
            free(found);
            found = NULL;
        }
    }
    return found;
}

/* The last line that holds mark, else the last line, of the log's last 4 KB; into line. */
static void last_words(const struct server *s, char *line, size_t n) {
    char tail[4097] = "", *path = xasprintf("%s/%s", s->dir->home, s->log), *rest;
    bool marked = false;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    off_t size = fd < 0 ? 0 : lseek(fd, 0, SEEK_END);
    if (fd >= 0) {
        ssize_t got = pread(fd, tail, sizeof tail - 1, size > 4096 ? size - 4096 : 0);
        tail[got < 0 ? 0 : got] = '\0';
        close(fd);
    }
    free(path);
    snprintf(line, n, "its log is empty");
    for (char *l = strtok_r(tail, "\n", &rest); l; l = strtok_r(NULL, "\n", &rest)) {
        bool mark = strstr(l, s->fatal) != NULL;
        if (mark || !marked)
            snprintf(line, n, "%s", l);
        marked |= mark;
    }
}

static int spawn(const struct server *s, const char *const *argv, pid_t *pid, struct err *err) {
    int fd = statedir_file(s->dir, s->log, false, err);
    if (fd < 0)
        return -1;
    struct child_spec spec = {.argv = argv,
                              .env = server_env,
                              .dir = s->data ? s->data : "/",
                              .uid = s->dir->uid,
                              .gid = s->dir->gid,
                              .death_signal = s->stop_signal,
                              .out_fd = fd,
                              .ctl_fd = -1};
    int rc = child_start(&spec, pid, err);
    close(fd);
    return rc;
}

int server_prepare(const struct server *s, const char *const *argv, struct err *err) {
    pid_t pid;
    int status;
    char how[64], words[400];
    if (spawn(s, argv, &pid, err) != 0)
        return -1;
    if (!child_wait(pid, 60000, &status)) {
        child_stop(pid, SIGKILL, 0);
        return err_set(err, ERR_TIMEOUT, "%s did not end within 60 s", argv[0]);
    }
    if (status == 0)
        return 0;
    child_describe(status, how, sizeof how);
    last_words(s, words, sizeof words);
    return err_set(err, ERR_SYS, "%s: %s: %s (log: %s/%s)", argv[0], how, words, s->dir->home,
                   s->log);
}

static int launch(struct server *s, struct err *err) {
    char **argv = s->command(s);
    int rc = spawn(s, (const char *const *)argv, &s->pid, err);
    for (char **a = argv; *a; a++)
        free(*a);
    free(argv);
    s->launched_ms = clock_mono_ms();
    return rc;
}

int server_start(struct server *s, struct err *err) {
    int status;
    char how[64], words[400];
    if (launch(s, err) != 0)
        return -1;
    while (!s->ready(s)) {
        if (child_ended(s->pid, &status)) {
            s->pid = 0;
            child_describe(status, how, sizeof how);
            last_words(s, words, sizeof words);
            return err_set(err, ERR_SYS, "%s ended at its start (%s): %s (log: %s/%s)", s->name,
                           how, words, s->dir->home, s->log);
        }
        if (clock_mono_ms() > s->launched_ms + (uint64_t)s->start_ms) {
            server_stop(s);
            return err_set(err, ERR_TIMEOUT, "%s was not ready within %d s (log: %s/%s)", s->name,
                           s->start_ms / 1000, s->dir->home, s->log);
        }
        usleep(3000);
    }
    return 0;
}

static void on_death(struct server *s, int status) {
    char how[64], words[400];
    uint64_t now = clock_mono_ms();
    s->pid = 0;
    if (now - s->launched_ms > HEALTHY_MS)
        s->pause_ms = 0;
    s->restart_at_ms = now + s->pause_ms;
    child_describe(status, how, sizeof how);
    last_words(s, words, sizeof words);
    log_error("a server died, starting it again", LOG_S("server", s->name), LOG_S("how", how),
              LOG_I("in_ms", s->pause_ms), LOG_S("last", words));
    s->pause_ms = s->pause_ms == 0 ? PAUSE_FIRST_MS : s->pause_ms * 2;
    if (s->pause_ms > PAUSE_MAX_MS)
        s->pause_ms = PAUSE_MAX_MS;
}

void server_tick(struct server *s) {
    int status;
    struct err err;
    if (s->pid && child_ended(s->pid, &status))
        on_death(s, status);
    if (s->pid || clock_mono_ms() < s->restart_at_ms)
        return;
    if (launch(s, &err) != 0) {
        s->restart_at_ms = clock_mono_ms() + PAUSE_MAX_MS;
        log_error("a server could not be started again", LOG_S("server", s->name),
                  LOG_S("error", err.msg));
    }
}

void server_stop(struct server *s) {
    if (s->pid)
        child_stop(s->pid, s->stop_signal, s->stop_ms);
    s->pid = 0;
}

void server_free(struct server *s) {
    free(s->exe);
    free(s->data);
    free(s->conf);
    free(s->url);
    *s = (struct server){0};
}
