/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "ops/gate.h"
#include "base/clock.h"
#include "base/log.h"
#include "ops/child.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE_LINES 40
#define MAX_CHANGED 100000 /* bytes: a variable of the environment holds 128 KB */
#define NICENESS 5         /* requests come before specs */

/* What specs were run on: the app's files, and with them the specs' own. */
struct key {
    char app[13], all[13]; /* versions; "" when there is none */
};

struct gate {
    const struct gate_options *o;
    gate_cb cb;
    void *arg;
    uv_timer_t limit;
    struct tree *base; /* specs and files as the live version had them; NULL: unknown */
    struct tree *all;  /* of the last run */
    struct key tested, passed, red;
    pid_t pid; /* 0: none runs */
    int out;   /* what it says */
    uint64_t begun_ms;
    bool said_none;
};

static bool same_key(const struct key *a, const struct key *b) {
    return !strcmp(a->app, b->app) && !strcmp(a->all, b->all);
}

/* --- the run's output --- */

static char *read_output(int fd) {
    struct buf text = {0};
    char chunk[4096];
    ssize_t n;
    lseek(fd, 0, SEEK_SET);
    while ((n = read(fd, chunk, sizeof chunk)) > 0)
        buf_put(&text, chunk, (size_t)n);
    for (size_t i = 0; i < text.len; i++) /* a text from here on */
        if (!text.p[i])
            text.p[i] = ' ';
    return buf_steal(&text);
}

/* What was said before each spec goes; at most a page stays. */
static char *page_of(const char *text) {
    struct buf out = {0};
    int n = 0, left_out = 0;
    for (const char *p = text, *end; *p; p = *end ? end + 1 : end) {
        end = strchrnul(p, '\n');
        if (*p == '\1' || (end == p && !n))
            continue;
        if (n++ < PAGE_LINES)
            buf_printf(&out, "%.*s\n", (int)(end - p), p);
        else
            left_out++;
    }
    if (left_out)
        buf_printf(&out, "… and %d more lines: rbf test shows all\n", left_out);
    return buf_steal(&out);
}

/* The caller's; NULL: no spec had begun. */
static char *last_begun(const char *text) {
    const char *mark = strrchr(text, '\1');
    return mark ? xmemdup(mark + 1, strcspn(mark + 1, "\n")) : NULL;
}

/* page: the caller's, cut into two. */
static struct gate_verdict verdict_of(char *page, bool green, const char *otherwise) {
    char *first = strncmp(page, "rbf: ", 5) ? page : page + 5;
    char *end = strchrnul(first, '\n');
    struct gate_verdict v = {.green = green, .summary = first, .details = end};
    if (*end) {
        *end = 0;
        v.details = end + 1;
    }
    if (!*v.summary)
        v.summary = otherwise;
    return v;
}

/* --- the run --- */

static void end_run(struct gate *g) {
    int status;
    if (!g->pid)
        return;
    kill(-g->pid, SIGKILL);
    child_wait(g->pid, 5000, &status);
    g->pid = 0;
    close(g->out);
    uv_timer_stop(&g->limit);
}

static void tell(struct gate *g, struct gate_verdict *v) {
    if (v->green)
        g->passed = g->tested;
    else
        g->red = g->tested;
    v->ms = clock_mono_ms() - g->begun_ms;
    g->cb(v, g->arg);
}

static void on_limit(uv_timer_t *t) {
    struct gate *g = t->data;
    char *text = read_output(g->out), *running = last_begun(text);
    char *summary =
        xasprintf("the specs were not done within %" PRId64 " s (--gate-timeout) and "
                  "were stopped%s%s",
                  g->o->timeout_ms / 1000, running ? "; running was " : "", running ? running : "");
    struct gate_verdict v = {.summary = summary, .details = ""};
    end_run(g);
    tell(g, &v);
    free(summary);
    free(running);
    free(text);
}

void gate_reap(struct gate *g) {
    int status;
    char how[80];
    if (!g->pid || !child_ended(g->pid, &status))
        return;
    char *text = read_output(g->out), *mark = strrchr(text, '\2');
    char *page = page_of(mark ? mark + 1 : text);
    child_describe(status, how, sizeof how);
    char *otherwise = xasprintf("the specs ended with %s", how);
    struct gate_verdict v = verdict_of(page, status == 0, otherwise);
    kill(-g->pid, SIGKILL); /* what specs have left behind */
    g->pid = 0;
    close(g->out);
    uv_timer_stop(&g->limit);
    tell(g, &v);
    free(otherwise);
    free(page);
    free(text);
}

static int packed_file(const struct tree *t) {
    struct buf bytes = {0};
    int fd = memfd_create("tree", MFD_CLOEXEC);
    tree_pack(t, &bytes);
    bool written = fd >= 0 && write(fd, bytes.p, bytes.len) == (ssize_t)bytes.len &&
                   lseek(fd, 0, SEEK_SET) == 0;
    buf_free(&bytes);
    if (written || fd < 0)
        return fd;
    close(fd);
    return -1;
}

static bool is_left_out(const char *variable) {
    static const char *const names[] = {"DATABASE_URL=", "NATS_URL=", "REDIS_URL=", "RBF_TEST_"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strncmp(variable, names[i], strlen(names[i])))
            return true;
    return false;
}

/* Ours without the servers, which requests are busy with: specs have their own. NULL at the end,
 * the first three to be freed, and the list. */
static char **environment(const struct gate *g, const char *changed) {
    size_t n = 0, at = 3;
    while (environ[n])
        n++;
    char **env = xcalloc(n + 4, sizeof *env);
    env[0] = xstrdup("RBF_TEST_TREE=3");
    env[1] = xasprintf("RBF_TEST_DEPENDS=%s", g->o->depends);
    env[2] = xasprintf("RBF_TEST_CHANGED=%s", changed);
    for (size_t i = 0; i < n; i++)
        if (!is_left_out(environ[i]))
            env[at++] = environ[i];
    return env;
}

static int start_child(struct gate *g, int tree_fd, const char *changed, struct err *err) {
    char **env = environment(g, changed);
    struct child_spec s = {.argv = (const char *const *)g->o->argv,
                           .exe = g->o->exe ? g->o->exe : "/proc/self/exe",
                           .env = (const char *const *)env,
                           .death_signal = SIGKILL,
                           .out_fd = g->out,
                           .ctl_fd = tree_fd};
    int rc = child_start(&s, &g->pid, err);
    if (rc == 0)
        setpriority(PRIO_PROCESS, (id_t)g->pid, NICENESS);
    for (int i = 0; i < 3; i++)
        free(env[i]);
    free((void *)env);
    return rc;
}

static int start_run(struct gate *g, const struct tree *next, const char *changed,
                     struct err *err) {
    int tree_fd = packed_file(next), rc = -1;
    g->out = memfd_create("specs", MFD_CLOEXEC);
    if (tree_fd < 0 || g->out < 0)
        err_set(err, ERR_SYS, "memfd_create: %s", strerror(errno));
    else
        rc = start_child(g, tree_fd, changed, err);
    if (tree_fd >= 0)
        close(tree_fd);
    if (rc && g->out >= 0)
        close(g->out);
    if (!rc)
        uv_timer_start(&g->limit, on_limit, (uint64_t)g->o->timeout_ms, 0);
    return rc;
}

/* --- which specs --- */

static bool is_spec(const char *path) {
    size_t n = strlen(path);
    return n >= 9 && !strcmp(path + n - 9, "_spec.lua");
}

static bool has_specs(const struct tree *t) {
    for (size_t i = 0; i < t->n; i++)
        if (is_spec(t->files[i].path))
            return true;
    return false;
}

/* Those of a that b has not, or otherwise. */
static void put_differing(struct buf *out, const struct tree *a, const struct tree *b) {
    for (size_t i = 0; i < a->n; i++) {
        const struct tree_file *f = &a->files[i], *other = tree_find(b, f->path);
        if (!other || other->len != f->len || memcmp(other->bytes, f->bytes, f->len))
            buf_printf(out, "%s/%s\n", a->root, f->path);
    }
}

/* "": run all. */
static char *changed_since(const struct gate *g, const struct tree *live, const struct tree *next) {
    struct buf out = {0};
    put_differing(&out, next, live);
    put_differing(&out, live, next);
    if (g->base) {
        put_differing(&out, g->all, g->base);
        put_differing(&out, g->base, g->all);
    }
    if (!g->base || out.len > MAX_CHANGED)
        buf_reset(&out);
    return buf_steal(&out);
}

/* --- what the supervisor asks --- */

static void refuse(struct gate *g, const struct err *err) {
    tell(g, &(struct gate_verdict){.summary = err->msg, .details = ""});
}

static bool let_without_specs(struct gate *g) {
    if (!g->said_none)
        log_warn("--gate: there are no *_spec.lua files, nothing holds a reload back");
    g->said_none = true;
    return true;
}

bool gate_let(struct gate *g, const struct tree *live, const struct tree *next, bool again) {
    struct err err;
    struct tree *all = tree_read_with_specs(next->root, &err);
    struct key key = {0};
    memcpy(key.app, next->version, sizeof key.app);
    if (all)
        memcpy(key.all, all->version, sizeof key.all);
    bool runs = g->pid && same_key(&key, &g->tested);
    if (same_key(&key, &g->passed) || runs || (!again && same_key(&key, &g->red))) {
        tree_delete(all);
        return !runs && same_key(&key, &g->passed);
    }
    end_run(g);
    tree_delete(g->all);
    g->all = all;
    g->tested = key;
    g->begun_ms = clock_mono_ms();
    if (all && !has_specs(all))
        return let_without_specs(g);
    char *changed = all ? changed_since(g, live, next) : NULL;
    if (!all || start_run(g, next, changed, &err))
        refuse(g, &err);
    free(changed);
    return false;
}

void gate_live(struct gate *g, const struct tree *t) {
    tree_delete(g->base);
    g->base = NULL;
    if (g->all && !g->pid && !strcmp(g->tested.app, t->version)) {
        g->base = g->all;
        g->all = NULL;
    } else {
        g->base = tree_read_with_specs(t->root, NULL);
    }
}

bool gate_forget(struct gate *g) {
    bool known = g->pid || *g->red.app;
    end_run(g);
    g->red = g->tested = (struct key){0};
    return known;
}

struct gate *gate_new(uv_loop_t *loop, const struct gate_options *o, gate_cb cb, void *arg,
                      struct err *err) {
    int fd = open(o->depends, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0) {
        err_set(err, ERR_SYS, "cannot write %s: %s", o->depends, strerror(errno));
        return NULL;
    }
    close(fd);
    struct gate *g = xcalloc(1, sizeof *g);
    *g = (struct gate){.o = o, .cb = cb, .arg = arg};
    uv_timer_init(loop, &g->limit);
    g->limit.data = g;
    return g;
}

static void on_closed(uv_handle_t *h) {
    struct gate *g = h->data;
    tree_delete(g->base);
    tree_delete(g->all);
    free(g);
}

void gate_delete(struct gate *g) {
    if (!g)
        return;
    end_run(g);
    uv_close((uv_handle_t *)&g->limit, on_closed);
}
