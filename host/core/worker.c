/* SPDX-License-Identifier: MIT */
#include "core/worker.h"
#include "base/clock.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "core/after.h"
#include "core/alone.h"
#include "core/backlog.h"
#include "core/cache.h"
#include "core/cron.h"
#include "core/gateway.h"
#include "core/intake.h"
#include "core/lane.h"
#include "core/outbox.h"
#include "core/purge.h"
#include "core/reload.h"
#include "core/run.h"
#include "core/servers.h"
#include "core/settings.h"
#include "core/sweeper.h"
#include "core/task.h"
#include "core/tx.h"
#include "core/uplink.h"
#include "web/http.h"
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TICK_MS 50 /* deadlines of handlers, +WPI, end of a drain */
#define BEAT_MS 1000
#define LINGER_MS 1000
#define RENEW_PAUSE_MS 2000 /* doubled for a state that is spent soon again, but works */
#define RENEW_PAUSE_MAX_MS 300000

struct worker {
    struct host h;
    uv_loop_t loop;
    struct uplink *uplink;
    uv_timer_t tick, beat, linger;
    uv_signal_t term, interrupt;
    struct servers *servers;
    struct reload *reload;
    bool started, ready, fatal, closing, echo_sent;
    uint64_t drain_deadline_ms;
    bool renewing; /* a spent state is being made anew */
    uint64_t renewed_ms, renew_pause_ms;
    uint64_t ticked_ms;
};

static void stop(struct worker *w);

static void fatal(struct worker *w, const char *message) {
    if (w->fatal)
        return;
    w->fatal = true; /* logged by the supervisor, once for all workers */
    uplink_tell(w->uplink, CTL_FATAL, 0, message, strlen(message));
    stop(w);
}

/* --- the end --- */

static void on_close_walk(uv_handle_t *handle, void *arg) {
    if (!uv_is_closing(handle) && (handle->data == arg))
        uv_close(handle, NULL);
}

static void log_stopped(const struct host *h) {
    const struct stats *s = &h->stats;
    log_info("worker stopped", LOG_I("done", s->done), LOG_I("queries", s->queries),
             LOG_I("duplicates", s->duplicates), LOG_I("refused", s->refused),
             LOG_I("failed", s->failed), LOG_I("expired", s->expired),
             LOG_I("conflicts", s->conflicts), LOG_I("parked", s->parked), LOG_I("dead", s->dead),
             LOG_I("naks", s->naks), LOG_I("groups", s->groups), LOG_I("twins", s->twins),
             LOG_I("redelivered", s->redelivered), LOG_I("published", s->published),
             LOG_I("swept", s->swept), LOG_I("crons", s->crons), LOG_I("held", s->held),
             LOG_I("cache_hits", s->cache_hits), LOG_I("cache_misses", s->cache_misses),
             LOG_I("purged", s->purged), LOG_I("oldest_due_ms", s->oldest_due_ms),
             LOG_I("rpc", s->rpc), LOG_I("rpc_busy", s->rpc_busy),
             LOG_I("rpc_dropped", s->rpc_dropped), LOG_I("rpc_unknown", s->rpc_unknown),
             LOG_I("in_hand", h->n_tasks));
}

static void start_timer(struct worker *w, uv_timer_t *timer, uv_timer_cb cb, uint64_t ms) {
    uv_timer_init(&w->loop, timer);
    timer->data = w;
    uv_timer_start(timer, cb, ms, ms);
}

/* A thread still waits for somebody (DNS, a cancel), whose answer nobody needs. */
static void on_linger(uv_timer_t *timer) {
    struct worker *w = timer->data;
    _exit(w->fatal ? 1 : 0);
}

static void close_all(void *arg) {
    struct worker *w = arg;
    struct host *h = &w->h;
    if (w->started)
        log_stopped(h);
    /* Out of time: tasks hold timers and connections; nothing of theirs is acked. Or a server does
     * not answer, and nothing has begun. */
    if (h->n_tasks || !servers_close(w->servers))
        _exit(w->fatal ? 1 : 0);
    if (h->intake) {
        intake_close(h->intake);
        gateway_close(h->gateway);
    }
    if (h->bus)
        bus_delete(h->bus); /* what waited for an answer is told, while there is who listens */
    cache_delete(h->cache);
    h->cache = NULL;
    if (h->pool)
        pgpool_delete(h->pool);
    cron_delete(h->cron);
    sweeper_delete(h->sweeper);
    purge_delete(h->purge);
    backlog_delete(h->backlog);
    outbox_delete(h->outbox);
    alone_delete(h->alone);
    gateway_delete(h->gateway);
    intake_delete(h->intake);
    http_delete(h->http);
    uplink_close(w->uplink);
    uv_walk(&w->loop, on_close_walk, w);
    start_timer(w, &w->linger, on_linger, LINGER_MS);
    uv_unref((uv_handle_t *)&w->linger);
}

/* From the loop, as the caller may be inside a callback of what is to be closed. */
static void stop(struct worker *w) {
    if (w->closing)
        return;
    w->closing = true;
    w->h.draining = true;
    uv_timer_stop(&w->tick);
    after_ms(&w->loop, 0, close_all, w);
}

static void on_echo(const struct bus_msg *msg, const struct err *err, void *arg) {
    stop(arg);
}

/* What the server sent before it read our last word has been given back by then. Worth some waiting
 * where there is time: what is lost on its way now comes again after the ack wait only. */
static void say_last_word(struct worker *w) {
    struct err err;
    int64_t left = (int64_t)(w->drain_deadline_ms - clock_mono_ms());
    int wait = left < 1000 ? 1000 : left > 5000 ? 5000 : (int)left;
    w->echo_sent = true;
    if (!bus_up(w->h.bus) || !bus_echo(w->h.bus, wait, on_echo, w, &err))
        stop(w);
}

static void check_drained(struct worker *w) {
    struct host *h = &w->h;
    bool late = clock_mono_ms() >= w->drain_deadline_ms;
    if (w->echo_sent)
        return;
    if (late) {
        log_warn("shutdown timeout: what is in hand will be redelivered",
                 LOG_I("tasks", h->n_tasks));
        gateway_give_up(h->gateway);
    }
    if (late || (!h->n_tasks && gateway_idle(h->gateway) && outbox_idle(h->outbox) &&
                 sweeper_idle(h->sweeper) && cron_idle(h->cron)))
        say_last_word(w);
}

static void drain(struct worker *w) {
    struct host *h = &w->h;
    if (h->draining)
        return;
    h->draining = true;
    if (!w->started) {
        stop(w);
        return;
    }
    log_info("draining", LOG_I("tasks", h->n_tasks));
    w->drain_deadline_ms = clock_mono_ms() + (uint64_t)h->cfg->shutdown_timeout_ms;
    intake_drain(h->intake);
    gateway_drain(h->gateway);
    cron_stop(h->cron);
    sweeper_stop(h->sweeper);
    purge_stop(h->purge);
    backlog_stop(h->backlog);
    check_drained(w);
}

static void on_signal(uv_signal_t *s, int number) {
    struct worker *w = s->data;
    if (w->h.draining)
        _exit(1); /* the second: nothing is lost, only redelivered */
    drain(w);
}

/* --- the start: once the first generation is committed --- */

static void on_bus_change(bool up, void *arg) {
    struct worker *w = arg;
    log_write(up ? LOG_INFO : LOG_WARN, up ? "NATS is back" : "NATS is away; waiting",
              log_fields_(LOG_I("in_hand", w->h.n_tasks)));
    cache_bus_changed(w->h.cache, up);
    if (up && w->h.intake)
        intake_refresh(w->h.intake);
}

/* NATS refused us for good: the supervisor starts another worker, which may be luckier. */
static void on_bus_closed(const struct err *why, void *arg) {
    struct worker *w = arg;
    log_error("NATS closed the connection for good", LOG_S("error", why->msg));
    w->fatal = true;
    stop(w);
}

static void on_pool_change(bool up, void *arg) {
    struct worker *w = arg;
    if (w->h.intake)
        intake_refresh(w->h.intake);
}

static void on_serving(void *arg) {
    struct worker *w = arg;
    const struct gen *g = w->h.gen;
    if (w->closing)
        return;
    if (!w->ready)
        log_info("worker ready", LOG_S("version", g->version), LOG_I("operations", g->n_ops));
    w->ready = true;
    uplink_tell(w->uplink, CTL_LIVE, g->number, NULL, 0);
}

static void on_queues_ready(const struct err *err, void *arg) {
    struct worker *w = arg;
    if (w->closing)
        return;
    if (err && !w->started && w->h.gen->number == 1) { /* of a reload: the other queues serve */
        fatal(w, err->msg);
        return;
    }
    if (!w->started) {
        w->started = true;
        sweeper_start(w->h.sweeper);
        purge_start(w->h.purge);
        backlog_start(w->h.backlog);
        cron_start(w->h.cron);
    }
    cron_wake(w->h.cron);
    gateway_apply(w->h.gateway, on_serving, w);
}

static int need(const char *value, const char *variable, const char *flag, struct err *err) {
    if (value && *value)
        return 0;
    return err_set(
        err, ERR_CONFIG,
        "%s is missing: set it, or pass %s URL (or run `rbf dev`, which starts a private "
        "server)",
        variable, flag);
}

static int connect_cache(struct worker *w, struct bus *bus, struct err *err) {
    w->h.bus = bus;
    w->h.cache = cache_new(&w->h, err);
    return w->h.cache ? 0 : -1;
}

static void on_servers(struct bus *bus, const struct err *failed, void *arg) {
    struct worker *w = arg;
    struct host *h = &w->h;
    struct err err;
    if (!bus || connect_cache(w, bus, &err)) {
        fatal(w, bus ? err.msg : failed->msg);
        return;
    }
    h->pool = pgpool_new(&w->loop, h->cfg->database_url, (int)h->cfg->connections);
    pgpool_on_change(h->pool, on_pool_change, w);
    h->outbox = outbox_new(h);
    h->alone = alone_new(h);
    h->sweeper = sweeper_new(h);
    h->purge = purge_new(h);
    h->backlog = backlog_new(h);
    h->cron = cron_new(h);
    h->gateway = gateway_new(h);
    h->intake = intake_new(h);
    intake_apply(h->intake, on_queues_ready, w);
}

static int start(struct worker *w, struct err *err) {
    struct host *h = &w->h;
    struct config *c = h->cfg;
    if (config_from_main_lua(c, h->gen->options, strlen(h->gen->options), err) ||
        need(c->database_url, "DATABASE_URL", "--database-url", err) ||
        need(c->nats_url, "NATS_URL", "--nats-url", err))
        return -1;
    servers_take(w->servers, c, on_servers, w);
    return 0;
}

/* --- from the supervisor --- */

/* The same files in a new state: nobody else need know. */
static void renewed(struct worker *w, uint32_t number, const struct err *err) {
    struct gen *g = reload_take(w->reload, number), *old = w->h.gen;
    w->renewing = false;
    if (!g) {
        log_error("the app's state could not be made anew; the old one serves on",
                  LOG_S("error", err ? err->msg : NULL));
        return;
    }
    log_warn("the app's Lua state was near its memory limit (--memory-limit); a new one serves",
             LOG_I("limit_mb", w->h.cfg->memory_limit_mb));
    w->h.gen = g;
    gen_unref(old);
}

/* Rarely: an app that is simply too large would be made anew for ever. */
static void check_memory(struct worker *w) {
    uint64_t now = clock_mono_ms(), since = now - w->renewed_ms, pause = w->renew_pause_ms;
    if (!w->h.gen || !w->h.gen->spent || w->renewing)
        return;
    if (since < RENEW_PAUSE_MS || (since < pause && !gen_starved(w->h.gen)))
        return;
    pause = since < 4 * pause ? 2 * pause : RENEW_PAUSE_MS;
    w->renew_pause_ms = pause < RENEW_PAUSE_MAX_MS ? pause : RENEW_PAUSE_MAX_MS;
    w->renewed_ms = now;
    w->renewing = reload_renew(w->reload);
}

static void on_built(uint32_t number, const struct gen *g, const struct err *err, void *arg) {
    struct worker *w = arg;
    if (w->renewing && number == w->h.gen->number) {
        renewed(w, number, err);
        return;
    }
    w->renewing = false; /* superseded by a reload */
    struct buf text = {0};
    struct err own;
    if (g && settings_check(g, &own))
        err = &own;
    if (!err) {
        gen_describe(g, &text);
        uplink_tell(w->uplink, CTL_PREPARED, number, text.p, text.len);
    } else {
        uplink_tell(w->uplink, CTL_REFUSED, number, err->msg, strlen(err->msg));
    }
    buf_free(&text);
}

/* One pointer is swapped; what is under way keeps its own generation. */
static void go_live(struct worker *w, const struct ctl_frame *f) {
    (void)FAILPOINT("reload.before_live");
    struct gen *g = reload_take(w->reload, f->number), *old = w->h.gen;
    struct err err;
    char *since = xmemdup(f->payload, f->len);
    w->h.deployed_ms = strtoull(since, NULL, 10);
    free(since);
    if (!g || w->h.draining) {
        if (g)
            gen_unref(g);
        return;
    }
    w->h.gen = g;
    if (old) {
        gen_unref(old);
        settings_tell(w->h.cfg, g);
        cache_reloaded(w->h.cache);
        intake_apply(w->h.intake, on_queues_ready, w);
    } else if (start(w, &err)) {
        fatal(w, err.msg);
    }
}

static void on_frame(const struct ctl_frame *f, void *arg) {
    struct worker *w = arg;
    if (w->closing)
        return;
    switch (f->type) {
    case CTL_PREPARE:
        reload_prepare(w->reload, f->number, f->payload, f->len);
        if (!w->h.gen)
            servers_begin(w->servers, w->h.cfg);
        return;
    case CTL_COMMIT:
        go_live(w, f);
        return;
    case CTL_ABORT:
        reload_drop(w->reload);
        return;
    case CTL_DRAIN:
        drain(w);
        return;
    default:
        return;
    }
}

static void on_broken(void *arg) {
    log_error("the supervisor's stream is broken");
    fatal(arg, "its stream is broken");
}

/* Finish what is in hand, and go too. */
static void on_supervisor_gone(void *arg) {
    drain(arg);
}

/* --- the process --- */

/* A process that was stopped (SIGSTOP, a frozen container) may hold messages that others have done
 * since, and whose results are forgotten by now: it would do them again. Nothing it did since it
 * woke can have committed: its transactions are older than PostgreSQL lets them be. */
static void check_frozen(struct worker *w) {
    uint64_t now = clock_mono_ms(), before = w->ticked_ms;
    int64_t retention = w->h.cfg->results_retention_ms;
    w->ticked_ms = now;
    if (!retention || (int64_t)(now - before) < retention)
        return;
    log_error(
        "stopped for longer than results are kept: starting over, what was in hand comes again",
        LOG_I("ms", now - before));
    _exit(1);
}

static void on_tick(uv_timer_t *timer) {
    struct worker *w = timer->data;
    check_frozen(w);
    if (!w->h.pool)
        return;
    run_check_deadlines(&w->h);
    tx_check_all(&w->h);
    intake_tick(w->h.intake);
    task_hold_all(&w->h);
    check_memory(w);
    if (w->started)
        gateway_tick(w->h.gateway);
    if (w->h.draining && w->started)
        check_drained(w);
}

static void on_beat(uv_timer_t *timer) {
    struct worker *w = timer->data;
    uplink_tell(w->uplink, CTL_BEAT, 0, NULL, 0);
}

static void start_signal(struct worker *w, uv_signal_t *s, int number) {
    uv_signal_init(&w->loop, s);
    s->data = w;
    uv_signal_start(s, on_signal, number);
}

static void free_worker(struct worker *w) {
    if (w->h.gen)
        gen_bury(w->h.gen, NULL, NULL);
    gen_unref(w->h.gen);
    reload_delete(w->reload);
    lanes_delete(&w->h);
    uplink_delete(w->uplink);
    servers_delete(w->servers);
}

/* Borrows share_dir for the call. */
static void make_parts(struct worker *w, const char *share_dir) {
    const struct bus_options bus = {
        .on_change = on_bus_change, .on_closed = on_bus_closed, .arg = w};
    char *lua_dir = xasprintf("%s/lua", share_dir), *sql_dir = xasprintf("%s/sql", share_dir);
    w->reload = reload_new(&w->loop, lua_dir, on_built, w);
    w->servers = servers_new(&w->loop, sql_dir, &bus);
    free(lua_dir);
    free(sql_dir);
}

int worker_main(struct config *cfg, const char *share_dir) {
    static const struct uplink_events events = {on_frame, on_broken, on_supervisor_gone};
    struct worker w = {.h = {.cfg = cfg}, .ticked_ms = clock_mono_ms()};
    w.h.loop = &w.loop;
    list_init(&w.h.tasks);
    list_init(&w.h.runs);
    list_init(&w.h.txs);
    uv_loop_init(&w.loop);
    w.uplink = uplink_open(&w.loop, CTL_FD, &events, &w);
    if (!w.uplink)
        return 1;
    signal(SIGPIPE, SIG_IGN);
    gen_limit(cfg->watchdog_ms, (size_t)cfg->memory_limit_mb << 20);
    make_parts(&w, share_dir);
    start_timer(&w, &w.tick, on_tick, TICK_MS);
    start_timer(&w, &w.beat, on_beat, BEAT_MS);
    start_signal(&w, &w.term, SIGTERM);
    start_signal(&w, &w.interrupt, SIGINT);
    uv_run(&w.loop, UV_RUN_DEFAULT);
    uv_close((uv_handle_t *)&w.linger, NULL);
    uv_run(&w.loop, UV_RUN_DEFAULT);
    free_worker(&w);
    uv_loop_close(&w.loop);
    return w.fatal ? 1 : 0;
}
