/* SPDX-License-Identifier: MIT */
#include "base/log.h"
#include "bus/server_info.h"
#include "bus/stream_config.h"
#include "cache/redis.h"
#include "cli/doctor.h"
#include "core/queuespec.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TIMEOUT_MS 3000
/* Of 2.x: what this is tested with, alone and in a cluster, where 2.9.10 loses messages that it has
 * acknowledged (docs/reliability.md). */
#define OLDEST_MINOR 9
#define OLDEST_IN_CLUSTER 10

static json_int_t number(const json_t *o, const char *key) {
    return json_integer_value(json_object_get(o, key));
}

/* --- the server --- */

static void check_version(struct doctor *d, const json_t *info) {
    int major = 0, minor = 0;
    const char *version = site_text(info, "version");
    bool read = sscanf(version, "%d.%d", &major, &minor) == 2;
    bool old = read && (major < 2 || (major == 2 && minor < OLDEST_MINOR));
    doctor_add(d, old ? DOCTOR_PROBLEM : DOCTOR_OK, "NATS", old ? "nats-server 2.9 at least" : NULL,
               "version %s, messages up to %" PRId64 " bytes", version,
               (int64_t)number(info, "max_payload"));
    if (read && major == 2 && minor < OLDEST_IN_CLUSTER && json_object_get(info, "cluster"))
        doctor_add(d, DOCTOR_WARNING, "cluster", "nats-server 2.10 at least",
                   "nats-server %s loses messages that it has acknowledged when servers of its "
                   "cluster come and go",
                   version);
}

void doctor_nats(struct doctor *d) {
    const struct config *cfg = &d->site.c->cfg;
    struct err err;
    json_t *info = server_info(cfg->nats_url, TIMEOUT_MS, &err);
    if (!info) {
        doctor_add(d, DOCTOR_PROBLEM, "NATS", "start nats-server -js, or mend NATS_URL", "%s",
                   err.msg);
        return;
    }
    check_version(d, info);
    bool off = !json_is_true(json_object_get(info, "jetstream"));
    if (off)
        doctor_add(d, DOCTOR_PROBLEM, "JetStream", "start nats-server with -js",
                   "this server has no JetStream");
    json_decref(info);
    if (off)
        return;
    d->site.js = js_open(cfg, "rbf doctor", &err);
    if (!d->site.js)
        doctor_add(d, DOCTOR_PROBLEM, "login",
                   "mend the credentials in NATS_URL, or the --nats-… files", "%s", err.msg);
}

/* --- queues --- */

/* A stream made or changed by hand can be one that forgets. */
static void check_limits(struct doctor *d, const char *check, const json_t *config) {
    static const char *const limits[] = {"max_age", "max_msgs", "max_bytes",
                                         "max_msgs_per_subject"};
    bool refuses = !strcmp(site_text(config, "discard"), "new");
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
        if (number(config, limits[i]) > 0 && (i == 0 || !refuses))
            doctor_add(d, DOCTOR_WARNING, check,
                       i == 0 ? "take max_age away: requests that wait longer vanish"
                              : "set the stream's discard policy to new: senders are told then",
                       "the stream %s drops messages: %s is %" PRId64, site_text(config, "name"),
                       limits[i], (int64_t)number(config, limits[i]));
}

/* consumer: NULL when there is none since the server started. */
static void check_pulls(struct doctor *d, const char *check, const json_t *stream,
                        const json_t *consumer) {
    json_int_t waiting = consumer ? number(consumer, "num_pending")
                                  : number(json_object_get(stream, "state"), "messages");
    if (waiting && !number(consumer, "num_waiting"))
        doctor_add(d, DOCTOR_WARNING, check, "start a host: rbf run, or rbf dev",
                   "%" PRId64 " messages wait and nobody asks for them", (int64_t)waiting);
}

/* What it acked may still be stored; another consumer would be given that. */
static void check_state(struct doctor *d, const char *check, const struct stream_spec *spec,
                        const json_t *consumer, const json_t *stream_config) {
    if (!consumer_config_withholds(json_object_get(consumer, "config"), stream_config))
        return;
    json_int_t floor = number(json_object_get(consumer, "ack_floor"), "stream_seq");
    char *cure =
        stream_config_is_shared(spec, stream_config)
            ? xstrdup("give the queue a stream of its own")
            : xasprintf("nats stream purge %s --seq %" PRId64 " (what is acked), then nats "
                        "consumer rm %s %s: a host makes another one",
                        spec->stream, (int64_t)floor + 1, spec->stream, spec->consumer);
    doctor_add(d, DOCTOR_WARNING, check, cure,
               "the consumer %s has a filter, or its state in a file: after a kill of nats-server "
               "messages may wait long, or until it is started again",
               spec->consumer);
    free(cure);
}

/* 0: it fits, or will at the next start; -1: it was told. */
static int fit(struct doctor *d, const char *check, enum config_fit how, const struct err *err) {
    if (how == FIT_NEVER)
        doctor_add(d, DOCTOR_PROBLEM, check, "", "%s", err->msg);
    else if (how != FIT)
        doctor_add(d, DOCTOR_WARNING, check,
                   "nothing to do: the next host that starts changes that (it must be allowed to)",
                   "its stream or consumer has other settings than the app asks for");
    return how == FIT ? 0 : -1;
}

static void check_consumer(struct doctor *d, const char *check, const struct stream_spec *spec,
                           const json_t *stream) {
    const json_t *stream_config = json_object_get(stream, "config");
    struct err err;
    int code;
    json_t *info =
        js_call(d->site.js, "CONSUMER.INFO", spec->stream, spec->consumer, NULL, &code, &err);
    if (!info && code == JSAPI_NO_CONSUMER) {
        doctor_add(d, DOCTOR_OK, check, NULL,
                   "stream %s; the consumer %s comes with the first host", spec->stream,
                   spec->consumer);
        check_pulls(d, check, stream, NULL);
    } else if (!info) {
        doctor_add(d, DOCTOR_PROBLEM, check, NULL, "consumer %s: %s", spec->consumer, err.msg);
    } else if (fit(d, check,
                   consumer_config_fit(spec, json_object_get(info, "config"), stream_config, &err),
                   &err) == 0) {
        doctor_add(d, DOCTOR_OK, check, NULL, "stream %s, consumer %s, as the app asks for",
                   spec->stream, spec->consumer);
        check_pulls(d, check, stream, info);
        check_state(d, check, spec, info, stream_config);
    }
    json_decref(info);
}

static void check_queue(struct doctor *d, const char *check, const struct stream_spec *spec) {
    struct err err;
    int code;
    json_t *info = js_call(d->site.js, "STREAM.INFO", spec->stream, NULL, NULL, &code, &err);
    json_t *config = json_object_get(info, "config");
    if (!info && code == JSAPI_NO_STREAM) {
        doctor_add(d, DOCTOR_OK, check, NULL, "the stream %s comes with the first host",
                   spec->stream);
    } else if (!info) {
        doctor_add(d, DOCTOR_PROBLEM, check,
                   code ? NULL
                        : "is JetStream up, and may this user ask $JS.API.STREAM.INFO.*? "
                          "docs/security.md lists what a host needs",
                   "stream %s: %s", spec->stream, err.msg);
    } else if (fit(d, check, stream_config_fit(spec, config, &err), &err) == 0) {
        check_limits(d, check, config);
        check_consumer(d, check, spec, info);
    }
    json_decref(info);
}

void doctor_queues(struct doctor *d) {
    const struct gen *g = d->site.gen;
    for (int i = 0; g && i < g->n_queues; i++) {
        struct stream_spec spec;
        char *check = xasprintf("queue %s", g->queues[i].name);
        queuespec_fill(&spec, &d->site.c->cfg, g, i);
        check_queue(d, check, &spec);
        queuespec_free(&spec);
        free(check);
    }
}

/* --- the cache --- */

static void on_late(uv_timer_t *t) {
    *(bool *)t->data = true;
}

static void on_up(void *arg) {
    *(bool *)arg = true;
}

void doctor_redis(struct doctor *d) {
    struct config *cfg = &d->site.c->cfg;
    struct err err;
    uv_loop_t loop;
    uv_timer_t timer;
    bool up = false, late = false;
    if (!cfg->redis_url)
        return;
    char *prefix = xasprintf("%s%s", cfg->subject_prefix, cfg->namespace_); /* as in cache.c */
    log_set_level(LOG_ERROR); /* what it says of its trouble is a finding here */
    uv_loop_init(&loop);
    uv_timer_init(&loop, &timer);
    timer.data = &late;
    uv_timer_start(&timer, on_late, TIMEOUT_MS, 0);
    struct redis *r = redis_new(&loop, cfg->redis_url, prefix, on_up, &up, &err);
    while (r && !up && !late)
        uv_run(&loop, UV_RUN_ONCE);
    if (up)
        doctor_add(d, DOCTOR_OK, "Redis", NULL, "answers");
    else
        doctor_add(d, DOCTOR_WARNING, "Redis",
                   "start it, or mend REDIS_URL; until then nothing is cached", "%s",
                   r ? "does not answer within 3 s" : err.msg);
    if (r)
        redis_delete(r);
    free(prefix);
    uv_close((uv_handle_t *)&timer, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
}
