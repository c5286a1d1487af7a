/* SPDX-License-Identifier: MIT */
/* rbf test --watch. Looks at the times of the files: specs are few, and a look at a thousand costs
 * a millisecond. Which specs depend on what is lua/rbf/testing/watch.lua's business. */
#define _GNU_SOURCE
#include "base/buf.h"
#include "cli/cli.h"
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define LOOK_EVERY_US 200000

struct file {
    char *path;
    struct timespec changed;
    off_t size;
};

struct files {
    struct file *v;
    size_t n;
};

static struct files *walking; /* nftw has no argument */

static int on_file(const char *path, const struct stat *st, int type, struct FTW *at) {
    const char *name = path + at->base;
    size_t n = strlen(name);
    if (type == FTW_D && at->level && *name == '.')
        return FTW_SKIP_SUBTREE;
    if (type != FTW_F || n < 5 || (strcmp(name + n - 4, ".lua") && strcmp(name + n - 4, ".sql")))
        return FTW_CONTINUE;
    walking->v = xrealloc(walking->v, (walking->n + 1) * sizeof *walking->v);
    walking->v[walking->n++] = (struct file){xstrdup(path), st->st_mtim, st->st_size};
    return FTW_CONTINUE;
}

static int by_path(const void *a, const void *b) {
    return strcmp(((const struct file *)a)->path, ((const struct file *)b)->path);
}

static void look(struct files *f, const char *dir) {
    *f = (struct files){0};
    walking = f;
    nftw(dir, on_file, 16, FTW_ACTIONRETVAL | FTW_PHYS);
    if (f->n)
        qsort(f->v, f->n, sizeof *f->v, by_path);
}

static void forget(struct files *f) {
    for (size_t i = 0; i < f->n; i++)
        free(f->v[i].path);
    free(f->v);
    *f = (struct files){0};
}

static bool same(const struct file *a, const struct file *b) {
    return a->size == b->size && a->changed.tv_sec == b->changed.tv_sec &&
           a->changed.tv_nsec == b->changed.tv_nsec;
}

/* Adds the paths that differ, one a line. */
static void compare(const struct files *a, const struct files *b, struct buf *out) {
    size_t i = 0, j = 0;
    while (i < a->n || j < b->n) {
        int c = i == a->n ? 1 : j == b->n ? -1 : strcmp(a->v[i].path, b->v[j].path);
        if (c)
            buf_printf(out, "%s\n", c < 0 ? a->v[i].path : b->v[j].path);
        else if (!same(&a->v[i], &b->v[j]))
            buf_printf(out, "%s\n", a->v[i].path);
        i += c <= 0;
        j += c >= 0;
    }
}

/* Ourselves, with the same words; the variable tells that it is the run. */
static void run(const char *changed) {
    char words[65536], *argv[256];
    int n = 0, fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
    ssize_t len = fd < 0 ? -1 : read(fd, words, sizeof words - 1);
    if (fd >= 0)
        close(fd);
    for (char *p = words; len > 0 && p < words + len && n < 255; p += strlen(p) + 1)
        argv[n++] = p;
    argv[n] = NULL;
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        setenv("RBF_TEST_CHANGED", changed, 1);
        execv("/proc/self/exe", argv);
        _exit(127);
    }
    while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
}

static void await_change(const char *dir, struct files *before, struct buf *changed) {
    struct files now;
    buf_reset(changed);
    do {
        usleep(LOOK_EVERY_US);
        look(&now, dir);
        compare(before, &now, changed);
        forget(before);
        *before = now;
    } while (!changed->len);
}

/* An empty file for what the runs find out, beside the server's data. */
static int keep_dependencies(const struct cli *c) {
    const char *dir = c->cfg.state_dir ? c->cfg.state_dir : ".rbf";
    char *path = xasprintf("%s/test.depends", dir);
    mkdir(dir, 0755);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd >= 0)
        close(fd);
    setenv("RBF_TEST_DEPENDS", path, 1);
    free(path);
    return fd < 0 ? -1 : 0;
}

int test_watch(struct cli *c) {
    char dir[PATH_MAX];
    struct files before;
    struct buf changed = {0};
    if (keep_dependencies(c) || !realpath(c->cfg.app_dir, dir))
        return cli_fail("cannot watch %s: %s", c->cfg.app_dir, strerror(errno));
    look(&before, dir);
    for (;;) {
        run(changed.p ? changed.p : "");
        printf("rbf test: waiting for a change below %s\n", c->cfg.app_dir);
        fflush(stdout);
        await_change(dir, &before, &changed);
        printf("\n%s", changed.p);
        fflush(stdout);
    }
}
