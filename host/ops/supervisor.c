/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "ops/supervisor.h"
#include "base/clock.h"
#include "base/log.h"
#include "ops/gate.h"
#include "ops/rollout.h"
#include "ops/services.h"
#include "ops/watch.h"
#include "ops/workerproc.h"
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TICK_MS 1000
#define SILENCE_MS 10000 /* ten beats */
#define FIRST_WORD_MS 20000
#define QUIET_MS 90
#define EARLY_DEATHS 3

struct supervisor {
    const struct supervisor_options *o;
    uv_loop_t loop;
    uv_signal_t term, intr, hup, chld;
    uv_timer_t tick, deadline;
    uint64_t ticked_ms;
    struct workerproc *workers;
    struct rollout rollout;
    struct watch *watch;
    struct gate *gate; /* NULL: none */
    char *changed;     /* files of the change under way, for the log */
    char refused[13];  /* version last refused, "" when none */
    bool dirty;        /* look at the files again when the change under way is through */
    bool ever_live, draining, had_terminal;
    int early_deaths;
    int exit_code;
};

static void finish_if_idle(struct supervisor *s) {
    for (int i = 0; i < s->o->workers; i++)
        if (s->workers[i].pid)
            return;
    uv_stop(&s->loop);
}

static void on_deadline(uv_timer_t *t) {
    struct supervisor *s = t->data;
    for (int i = 0; i < s->o->workers; i++)
        if (s->workers[i].pid) {
            log_warn("a worker was not done in time, killing it", LOG_I("worker", i));
            workerproc_kill(&s->workers[i]);
        }
}

static void drain(struct supervisor *s, int exit_code) {
    if (s->draining)
        return;
    s->draining = true;
    if (s->gate)
        gate_forget(s->gate);
    s->exit_code = exit_code;
    for (int i = 0; i < s->o->workers; i++) {
        workerproc_rest(&s->workers[i]);
        workerproc_send(&s->workers[i], CTL_DRAIN, 0, NULL, 0);
    }
    uv_timer_start(&s->deadline, on_deadline, (uint64_t)s->o->shutdown_timeout_ms, 0);
    finish_if_idle(s);
}

/* details: more lines, for people; "" when there are none. */
static void report_failure(struct supervisor *s, const char *message, const char *details) {
    char *text = s->ever_live ? xasprintf("reload refused, the old version serves on: %s", message)
                              : xasprintf("the app was not loaded: %s", message);
    log_with_details(LOG_ERROR, text, *details ? details : NULL);
    free(text);
    if (s->o->on_reload_failed)
        s->o->on_reload_failed(message, s->o->arg);
    if (!s->ever_live && !s->o->patient)
        drain(s, 1);
}

static void note_changed(struct buf *out, int *n, const char *path) {
    if (++*n <= 5)
        buf_printf(out, "%s%s", *n > 1 ? ", " : "", path);
}

static bool same_file(const struct tree_file *a, const struct tree_file *b) {
    return b && a->len == b->len && memcmp(a->bytes, b->bytes, a->len) == 0;
}

/* "users.lua, email.lua": changed, new and removed; at most five are named. */
static char *list_changes(const struct tree *old, const struct tree *new) {
    struct buf out = {0};
    int n = 0;
    for (size_t i = 0; i < new->n; i++)
        if (!same_file(&new->files[i], tree_find(old, new->files[i].path)))
            note_changed(&out, &n, new->files[i].path);
    for (size_t i = 0; i < old->n; i++)
        if (!tree_find(new, old->files[i].path))
            note_changed(&out, &n, old->files[i].path);
    if (n > 5)
        buf_printf(&out, " and %d more", n - 5);
    return buf_steal(&out);
}

/* Is there anything to do for these files? */
static bool is_news(struct supervisor *s, const struct tree *tree, bool forced) {
    const struct generation *live = s->rollout.live;
    if (live && strcmp(live->tree->version, tree->version) == 0) {
        bool held = s->gate && gate_forget(s->gate);
        if (s->refused[0] || held || forced)
            log_info("the files are those of the running version", LOG_S("version", tree->version));
        s->refused[0] = '\0';
        return false;
    }
    return forced || strcmp(s->refused, tree->version) != 0;
}

/* The first generation replaces nothing, so nothing stands before it. */
static bool may_pass(struct supervisor *s, const struct tree *tree, bool forced) {
    const struct generation *live = s->rollout.live;
    return !s->gate || !live || gate_let(s->gate, live->tree, tree, forced);
}

static void reload(struct supervisor *s, bool forced) {
    struct err err;
    if (s->draining)
        return;
    s->dirty = s->rollout.next != NULL;
    if (s->dirty)
        return;
    struct tree *tree = tree_read(s->o->app_dir, &err);
    if (!tree) {
        report_failure(s, err.msg, "");
        return;
    }
    if (is_news(s, tree, forced) && may_pass(s, tree, forced)) {
        free(s->changed);
        s->changed = s->rollout.live ? list_changes(s->rollout.live->tree, tree) : NULL;
        if (rollout_begin(&s->rollout, tree))
            return;
        s->dirty = true; /* no worker runs now */
    }
    tree_delete(tree);
}

/* The files may have changed meanwhile: they are read, and judged, again. */
static void on_verdict(const struct gate_verdict *v, void *arg) {
    struct supervisor *s = arg;
    if (!v->green) {
        report_failure(s, v->summary, v->details);
        return;
    }
    log_info(v->summary, LOG_I("ms", v->ms));
    reload(s, false);
}

static void on_live(struct rollout *r, void *arg) {
    struct supervisor *s = arg;
    bool first = !s->ever_live;
    if (s->gate)
        gate_live(s->gate, r->live->tree);
    s->ever_live = true;
    s->refused[0] = '\0';
    if (!first)
        log_info("reloaded", LOG_S("version", r->live->tree->version),
                 LOG_I("ms", clock_mono_ms() - r->live->begun_ms), LOG_S("changed", s->changed));
    if (s->o->on_live && !s->draining)
        s->o->on_live(first, r->live->describe ? r->live->describe : "{}", s->o->arg);
}

static void on_refused(struct rollout *r, const struct generation *g, const char *message,
                       void *arg) {
    struct supervisor *s = arg;
    memcpy(s->refused, g->tree->version, sizeof s->refused);
    report_failure(s, message, "");
}

/* Something was put off; can it be done now? */
static void look_again(struct supervisor *s) {
    if (s->dirty && !s->rollout.next)
        reload(s, false);
}

static void on_worker_started(struct workerproc *w, void *arg) {
    struct supervisor *s = arg;
    rollout_worker_started(&s->rollout, w);
    look_again(s);
}

static void on_fatal(struct supervisor *s, struct workerproc *w, const struct ctl_frame *f) {
    if (!s->ever_live && s->draining) /* the first of them has said it for all */
        return;
    char *message = xmemdup(f->payload, f->len);
    log_error(message, LOG_I("worker", w->slot));
    free(message);
    if (!s->ever_live)
        drain(s, 1);
}

static void on_worker_frame(struct workerproc *w, const struct ctl_frame *f, void *arg) {
    struct supervisor *s = arg;
    if (f->type == CTL_FATAL)
        on_fatal(s, w, f);
    else
        rollout_frame(&s->rollout, w, f);
    look_again(s);
}

static void on_worker_gone(struct workerproc *w, const char *how, void *arg) {
    struct supervisor *s = arg;
    if (s->draining) {
        finish_if_idle(s);
        return;
    }
    log_error("a worker died, starting another", LOG_I("worker", w->slot), LOG_S("how", how));
    if (!s->ever_live && !w->served && ++s->early_deaths >= EARLY_DEATHS) {
        log_error("workers die at their start, giving up", LOG_S("how", how));
        drain(s, 1);
        return;
    }
    rollout_worker_gone(&s->rollout, w);
    look_again(s);
}

static void on_stop_signal(uv_signal_t *h, int signum) {
    struct supervisor *s = h->data;
    if (s->draining) {
        s->exit_code = 128 + SIGINT;
        uv_stop(&s->loop);
        return;
    }
    log_info("stopping", LOG_S("signal", signum == SIGINT ? "SIGINT" : "SIGTERM"));
    drain(s, 0);
}

static bool has_terminal(void) {
    int fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

/* It also comes when the terminal is closed; then nobody is there any more. */
static void on_hup(uv_signal_t *h, int signum) {
    struct supervisor *s = h->data;
    if (s->had_terminal && !has_terminal())
        drain(s, 0);
    else
        reload(s, true);
}

static void on_chld(uv_signal_t *h, int signum) {
    struct supervisor *s = h->data;
    for (int i = 0; i < s->o->workers; i++)
        workerproc_reap(&s->workers[i]);
    if (s->gate)
        gate_reap(s->gate);
    if (s->o->services)
        services_tick(s->o->services);
}

static void on_files(void *arg) {
    reload(arg, false);
}

static void check_beats(struct supervisor *s, uint64_t now) {
    for (int i = 0; i < s->o->workers; i++) {
        struct workerproc *w = &s->workers[i];
        uint64_t allowed = w->spoke ? SILENCE_MS : FIRST_WORD_MS;
        if (!w->pid || now < w->heard_ms + allowed)
            continue;
        log_error("a worker does not answer, killing it", LOG_I("worker", i),
                  LOG_I("silent_ms", now - w->heard_ms));
        workerproc_kill(w);
        w->heard_ms = now;
    }
}

static void on_tick(uv_timer_t *t) {
    struct supervisor *s = t->data;
    uint64_t now = clock_mono_ms();
    /* We were stopped ourselves (^Z): their beats wait unread in the sockets. */
    if (now - s->ticked_ms > 3 * TICK_MS)
        for (int i = 0; i < s->o->workers; i++)
            s->workers[i].heard_ms = now;
    s->ticked_ms = now;
    check_beats(s, now);
    rollout_tick(&s->rollout);
    if (s->o->services)
        services_tick(s->o->services);
}

static void listen_for(struct supervisor *s, uv_signal_t *h, int signum, uv_signal_cb cb) {
    uv_signal_init(&s->loop, h);
    h->data = s;
    uv_signal_start(h, cb, signum);
}

static void start_workers(struct supervisor *s) {
    static const struct workerproc_events events = {on_worker_started, on_worker_frame,
                                                    on_worker_gone};
    const char *exe = s->o->worker_exe ? s->o->worker_exe : "/proc/self/exe";
    s->workers = xcalloc((size_t)s->o->workers, sizeof *s->workers);
    s->rollout = (struct rollout){.workers = s->workers,
                                  .n = s->o->workers,
                                  .on_live = on_live,
                                  .on_refused = on_refused,
                                  .arg = s};
    for (int i = 0; i < s->o->workers; i++)
        workerproc_init(&s->workers[i], i, &s->loop, exe, s->o->worker_argv, &events, s);
    for (int i = 0; i < s->o->workers; i++)
        workerproc_start(&s->workers[i]);
}

static int start(struct supervisor *s) {
    struct err err;
    signal(SIGPIPE, SIG_IGN); /* a worker may die while we write to it */
    uv_loop_init(&s->loop);
    listen_for(s, &s->term, SIGTERM, on_stop_signal);
    listen_for(s, &s->intr, SIGINT, on_stop_signal);
    listen_for(s, &s->hup, SIGHUP, on_hup);
    listen_for(s, &s->chld, SIGCHLD, on_chld);
    uv_timer_init(&s->loop, &s->tick);
    uv_timer_init(&s->loop, &s->deadline);
    s->tick.data = s->deadline.data = s;
    s->ticked_ms = clock_mono_ms();
    s->had_terminal = has_terminal();
    uv_timer_start(&s->tick, on_tick, TICK_MS, TICK_MS);
    /* Before the files are read, so that no save falls in between. */
    if (s->o->watch && !(s->watch = watch_new(&s->loop, s->o->app_dir, s->o->gate != NULL, QUIET_MS,
                                              on_files, s, &err))) {
        log_error(err.msg);
        return -1;
    }
    if (s->o->gate && !(s->gate = gate_new(&s->loop, s->o->gate, on_verdict, s, &err))) {
        log_error(err.msg);
        return -1;
    }
    return 0;
}

static void close_handle(uv_handle_t *h, void *arg) {
    if (!uv_is_closing(h))
        uv_close(h, NULL);
}

static void stop(struct supervisor *s) {
    if (s->watch)
        watch_delete(s->watch);
    gate_delete(s->gate);
    for (int i = 0; s->workers && i < s->o->workers; i++)
        workerproc_close(&s->workers[i]);
    uv_walk(&s->loop, close_handle, NULL);
    uv_run(&s->loop, UV_RUN_DEFAULT);
    uv_loop_close(&s->loop);
    rollout_free(&s->rollout);
    free(s->workers);
    free(s->changed);
}

int supervisor_run(const struct supervisor_options *o) {
    struct supervisor *s = xcalloc(1, sizeof *s);
    *s = (struct supervisor){.o = o, .exit_code = 1};
    if (start(s) == 0) {
        start_workers(s);
        reload(s, false);
        uv_run(&s->loop, UV_RUN_DEFAULT);
    }
    stop(s);
    int code = s->exit_code;
    free(s);
    return code;
}
