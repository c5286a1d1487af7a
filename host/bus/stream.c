/* SPDX-License-Identifier: MIT */
/* stream_ensure: look, create what is missing, update what differs, look again. Several workers run
 * it at once, so "already exists" and "does not exist (any more)" are reasons to look again. */
#include "bus/stream.h"
#include "base/clock.h"
#include "base/log.h"
#include "bus/bus_private.h"
#include "bus/jsapi.h"
#include "bus/stream_config.h"
#include <stdlib.h>
#include <string.h>

#define MAX_ROUNDS 5
#define LISTEN_TIMEOUT_MS 1000
#define PATIENCE_MS 30000 /* with a cluster */
#define PAUSE_MS 250

struct ensure {
    struct bus *b;
    const struct stream_spec *spec;
    stream_cb cb;
    void *arg;
    int rounds; /* of looking again */
    uint64_t give_up_ms;
    bool told_waiting;
    json_t *stream_config; /* as last seen */
    struct err err;
};

static void look_at_stream(struct ensure *e);
static void look_at_consumer(struct ensure *e);

static void finish(struct ensure *e, const struct err *err) {
    e->cb(err, e->arg);
    json_decref(e->stream_config);
    free(e);
}

static void on_finish_later(const struct bus_msg *m, const struct err *err, void *arg) {
    struct ensure *e = arg;
    finish(e, &e->err);
}

/* consumer: is the request one about it? */
static void call(struct ensure *e, const char *verb, bool consumer, json_t *body, bus_cb cb) {
    if (!jsapi_call(e->b, verb, e->spec->stream, consumer ? e->spec->consumer : NULL, body, cb, e,
                    &e->err))
        bus_later(e->b, 0, on_finish_later, e); /* cb is never called from inside stream_ensure */
}

static void on_paused(const struct bus_msg *m, const struct err *err, void *arg) {
    struct ensure *e = arg;
    if (err->kind == ERR_SHUTDOWN)
        finish(e, err);
    else
        look_at_stream(e);
}

/* A cluster has a leader, and so has each stream and consumer of it that has replicas; when a
 * server goes, and while all start, they are without one for seconds, and servers do not know each
 * other. Where no replicas are wanted silence says more likely that JetStream is off. */
static bool may_pass(const struct ensure *e, int code) {
    return code == JSAPI_UNAVAILABLE || code == JSAPI_NO_PEERS ||
           (code == JSAPI_SILENT && e->spec->replicas > 1);
}

static void wait_for_cluster(struct ensure *e) {
    if (!e->told_waiting)
        log_warn("waiting for NATS's cluster", LOG_S("stream", e->spec->stream),
                 LOG_S("error", e->err.msg));
    e->told_waiting = true;
    bus_later(e->b, PAUSE_MS, on_paused, e);
}

static void fail(struct ensure *e, int code) {
    const struct stream_spec *s = e->spec;
    if (may_pass(e, code) && clock_mono_ms() < e->give_up_ms) {
        wait_for_cluster(e);
        return;
    }
    struct err err = e->err;
    if (code == JSAPI_SUBJECTS_OVERLAP)
        err_set(
            &err, ERR_CONFIG,
            "stream '%s': its subjects '%s' overlap those of another stream: give the queue "
            "another subject or the app a subjectPrefix, or delete the other (`nats stream ls`)",
            s->stream, s->subjects);
    else if (code == JSAPI_FILTER_OVERLAP || code == JSAPI_NOT_UNIQUE)
        err_set(&err, ERR_CONFIG,
                "stream '%s', consumer '%s': another consumer takes messages of '%s' already: use "
                "its name, or delete it (`nats consumer ls %s`)",
                s->stream, s->consumer, s->subjects, s->stream);
    else if (code == JSAPI_REPLICAS || code == JSAPI_NO_PEERS)
        err_set(&err, ERR_CONFIG,
                "stream '%s': %d replicas need a NATS cluster of that size: set the queue's "
                "replicas to 1",
                s->stream, s->replicas);
    else
        err_set(&err, e->err.kind, "stream '%s', consumer '%s': %s", s->stream, s->consumer,
                e->err.msg);
    finish(e, &err);
}

static void look_again(struct ensure *e, int code) {
    if (++e->rounds > MAX_ROUNDS)
        fail(e, code);
    else
        look_at_stream(e);
}

/* The consumer */

static void on_consumer_made(const struct bus_msg *m, const struct err *failed, void *arg) {
    struct ensure *e = arg;
    int code;
    json_t *answer = jsapi_answer(m, failed, &code, &e->err);
    bool ok = answer != NULL;
    json_decref(answer);
    if (ok)
        finish(e, NULL);
    else if (code == JSAPI_NO_STREAM || code == JSAPI_CONSUMER_EXISTS ||
             code == JSAPI_CONSUMER_CREATE || code == JSAPI_FILTER_OVERLAP ||
             code == JSAPI_NOT_UNIQUE)
        look_again(e, code); /* a twin's consumer of the same name, made since we looked? */
    else
        fail(e, code);
}

static void on_listening(const struct err *err, bool duplicate, void *arg) {
    struct ensure *e = arg;
    if (!err || err->kind == ERR_BUS) { /* it refused: no stream's name has a dot */
        call(e, "CONSUMER.DURABLE.CREATE", true, consumer_config_new(e->spec, e->stream_config),
             on_consumer_made);
    } else if (err->kind == ERR_TIMEOUT) {
        err_set(&e->err, ERR_TIMEOUT,
                "the stream does not answer to messages for '%s': let the host publish there, or "
                "look at the stream's state (`nats stream info %s`)",
                e->spec->subjects, e->spec->stream);
        look_again(e, 0);
    } else {
        e->err = *err;
        fail(e, 0);
    }
}

/* nats-server lists a stream before it is whole (addStreamWithAssignment in 2.9.10's stream.go): to
 * those that did not make it, it is there. A consumer that is made before the stream has its queue
 * of outgoing messages never gets one: it takes pulls and counts messages as delivered, and nothing
 * reaches anybody for as long as the server runs. An answer of the stream itself goes through that
 * queue: no consumer is made before there is one. */
static void make_consumer(struct ensure *e) {
    const char *subjects = e->spec->subjects;
    char *subject = xasprintf("%.*s_RBF", (int)strcspn(subjects, ">"), subjects);
    struct hdrs h = {0};
    hdrs_add(&h, "Nats-Expected-Stream", "no.stream");
    if (!bus_store(e->b, subject, &h, "", 0, LISTEN_TIMEOUT_MS, on_listening, e, &e->err))
        bus_later(e->b, 0, on_finish_later, e);
    hdrs_free(&h);
    free(subject);
}

static void on_consumer_deleted(const struct bus_msg *m, const struct err *failed, void *arg) {
    struct ensure *e = arg;
    int code;
    json_t *answer = jsapi_answer(m, failed, &code, &e->err);
    if (answer || code == JSAPI_NO_CONSUMER || code == JSAPI_NO_STREAM)
        look_again(e, code);
    else
        fail(e, code);
    json_decref(answer);
}

/* Creating one that exists updates it. */
static void update_consumer(struct ensure *e, json_t *config) {
    call(e, "CONSUMER.DURABLE.CREATE", true,
         json_pack("{s:s, s:O}", "stream_name", e->spec->stream, "config", config),
         on_consumer_made);
}

static void on_consumer(const struct bus_msg *m, const struct err *failed, void *arg) {
    struct ensure *e = arg;
    int code;
    json_t *answer = jsapi_answer(m, failed, &code, &e->err);
    if (!answer && code == JSAPI_NO_CONSUMER)
        make_consumer(e);
    else if (!answer && code == JSAPI_NO_STREAM)
        look_again(e, code);
    else if (!answer)
        fail(e, code);
    else {
        json_t *config = json_object_get(answer, "config");
        enum config_fit fit = consumer_config_fit(e->spec, config, e->stream_config, &e->err);
        if (fit == FIT_REMAKE)
            call(e, "CONSUMER.DELETE", true, NULL, on_consumer_deleted);
        else if (fit == FIT_UPDATE)
            update_consumer(e, config);
        else
            finish(e, fit == FIT_NEVER ? &e->err : NULL);
    }
    json_decref(answer);
}

static void look_at_consumer(struct ensure *e) {
    call(e, "CONSUMER.INFO", true, NULL, on_consumer);
}

/* The stream */

static void take_stream_config(struct ensure *e, json_t *answer) {
    json_decref(e->stream_config);
    e->stream_config = json_incref(json_object_get(answer, "config"));
}

static void on_stream_made(const struct bus_msg *m, const struct err *failed, void *arg) {
    struct ensure *e = arg;
    int code;
    json_t *answer = jsapi_answer(m, failed, &code, &e->err);
    if (answer) {
        take_stream_config(e, answer);
        look_at_consumer(e);
    } else if (code == JSAPI_STREAM_EXISTS || code == JSAPI_NO_STREAM ||
               code == JSAPI_SUBJECTS_OVERLAP)
        look_again(e, code);
    else
        fail(e, code);
    json_decref(answer);
}

static void on_stream(const struct bus_msg *m, const struct err *failed, void *arg) {
    struct ensure *e = arg;
    int code;
    json_t *answer = jsapi_answer(m, failed, &code, &e->err);
    if (!answer && code == JSAPI_NO_STREAM)
        call(e, "STREAM.CREATE", false, stream_config_new(e->spec), on_stream_made);
    else if (!answer)
        fail(e, code);
    else {
        take_stream_config(e, answer);
        enum config_fit fit = stream_config_fit(e->spec, e->stream_config, &e->err);
        if (fit == FIT_NEVER)
            finish(e, &e->err);
        else if (fit == FIT_UPDATE)
            call(e, "STREAM.UPDATE", false, json_incref(e->stream_config), on_stream_made);
        else
            look_at_consumer(e);
    }
    json_decref(answer);
}

static void look_at_stream(struct ensure *e) {
    call(e, "STREAM.INFO", false, NULL, on_stream);
}

void stream_ensure(struct bus *b, const struct stream_spec *spec, stream_cb cb, void *arg) {
    struct ensure *e = xcalloc(1, sizeof *e);
    e->b = b;
    e->spec = spec;
    e->cb = cb;
    e->arg = arg;
    e->give_up_ms = clock_mono_ms() + PATIENCE_MS;
    look_at_stream(e);
}
