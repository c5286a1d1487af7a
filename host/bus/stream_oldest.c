/* SPDX-License-Identifier: MIT */
#include "base/jsonval.h"
#include "bus/jsapi.h"
#include "bus/stream.h"
#include <stdlib.h>
#include <string.h>

#define NO_MESSAGE 10037 /* STREAM.MSG.GET: there is none from there on */

/* The streams one after the other, in each its consumers one after the other. */
struct look {
    struct bus *b;
    json_t *about;     /* the description of streams that count */
    json_t *names;     /* of others that count: an object's keys */
    json_t *streams;   /* infos of those that count */
    json_t *consumers; /* of the stream at hand */
    json_int_t seen, total;
    size_t consumer;
    struct stream_age *ages; /* of the streams so far; the last is at hand */
    int n;
    stream_oldest_cb cb;
    void *arg;
};

static void finish(struct look *l, const struct err *err) {
    l->cb(l->ages, err ? 0 : l->n, err, l->arg);
    free(l->ages);
    json_decref(l->about);
    json_decref(l->names);
    json_decref(l->streams);
    json_decref(l->consumers);
    free(l);
}

static void fail(struct look *l, const char *what) {
    struct err err;
    err_set(&err, ERR_BUS, "JetStream's answer has %s", what);
    finish(l, &err);
}

/* Takes body. */
static void call(struct look *l, const char *verb, const char *stream, json_t *body, bus_cb cb) {
    struct buf subject = {0}, text = {0};
    struct err err;
    buf_printf(&subject, "$JS.API.%s%s%s", verb, stream ? "." : "", stream ? stream : "");
    jsonval_write(&text, body);
    if (!bus_request(l->b, subject.p, NULL, text.p, text.len, JSAPI_TIMEOUT_MS, cb, l, &err))
        finish(l, &err);
    buf_free(&subject);
    buf_free(&text);
    json_decref(body);
}

static const json_t *at_hand(const struct look *l) {
    return json_array_get(l->streams, (size_t)l->n - 1);
}

static const char *name_at_hand(const struct look *l) {
    return l->ages[l->n - 1].stream;
}

static const json_t *state_at_hand(const struct look *l, const char *field) {
    return json_object_get(json_object_get(at_hand(l), "state"), field);
}

/* False, and l is gone, when it cannot be read. */
static bool take_time(struct look *l, const json_t *text) {
    int64_t ms = jsapi_time_ns(text) / 1000000, *oldest = &l->ages[l->n - 1].oldest_ms;
    if (ms < 0) {
        fail(l, "a time stamp that cannot be read");
        return false;
    }
    if (ms < *oldest)
        *oldest = ms;
    return true;
}

/* --- a stream's consumers --- */

static void next_stream(struct look *l);
static void next_consumer(struct look *l);

static void on_message(const struct bus_msg *m, const struct err *failed, void *arg) {
    struct look *l = arg;
    struct err err;
    int code;
    json_t *answer = jsapi_answer(m, failed, &code, &err);
    if (!answer && code != NO_MESSAGE) {
        finish(l, &err);
        return;
    }
    bool on = !answer || take_time(l, json_object_get(json_object_get(answer, "message"), "time"));
    json_decref(answer);
    if (on)
        next_consumer(l);
}

static const char *filter_of(const json_t *consumer) {
    const char *s =
        json_string_value(json_object_get(json_object_get(consumer, "config"), "filter_subject"));
    return s && *s ? s : ">";
}

/* What a consumer has not acked lies above its floor: all up to there is acked, whatever the stream
 * holds. (nats-server 2.9 can bring acked messages back when it is killed, and clusters keep some.)
 * What lies above may have been acked too, but then one before it was not. Other consumers'
 * messages count with it: asked for those of a filter, the server may pass some by (stream_config.c
 * says when). */
static void next_consumer(struct look *l) {
    const json_t *c = json_array_get(l->consumers, l->consumer++);
    if (!c) {
        next_stream(l);
        return;
    }
    json_int_t floor =
        json_integer_value(json_object_get(json_object_get(c, "ack_floor"), "stream_seq"));
    call(l, "STREAM.MSG.GET", name_at_hand(l),
         json_pack("{s:I, s:s}", "seq", floor + 1, "next_by_subj", ">"), on_message);
}

static bool is_consumed(const json_t *consumers, const char *subject) {
    size_t i;
    json_t *c;
    json_array_foreach(consumers, i, c) {
        const char *filter = filter_of(c);
        if (!strcmp(filter, ">") || !strcmp(filter, subject))
            return true;
    }
    return false;
}

/* Do the consumers, by their filters' texts, take all that the stream takes? */
static bool all_consumed(const json_t *stream, const json_t *consumers) {
    size_t i;
    json_t *subject;
    json_array_foreach(json_object_get(json_object_get(stream, "config"), "subjects"), i, subject) {
        if (!is_consumed(consumers, json_string_value(subject)))
            return false;
    }
    return true;
}

static void on_consumers(const struct bus_msg *m, const struct err *failed, void *arg) {
    struct look *l = arg;
    struct err err;
    int code;
    json_t *answer = jsapi_answer(m, failed, &code, &err);
    if (!answer) {
        finish(l, &err);
        return;
    }
    json_decref(l->consumers);
    l->consumers = json_incref(json_object_get(answer, "consumers"));
    l->consumer = 0;
    bool whole = (json_int_t)json_array_size(l->consumers) ==
                     json_integer_value(json_object_get(answer, "total")) &&
                 all_consumed(at_hand(l), l->consumers);
    json_decref(answer);
    if (whole) {
        next_consumer(l);
        return;
    }
    /* a message that has no consumer yet waits for one: all that is stored counts */
    if (take_time(l, state_at_hand(l, "first_ts")))
        next_stream(l);
}

static void next_stream(struct look *l) {
    while (l->n < (int)json_array_size(l->streams)) {
        l->n++;
        const json_t *name = json_object_get(json_object_get(at_hand(l), "config"), "name");
        l->ages[l->n - 1] = (struct stream_age){json_string_value(name), INT64_MAX,
                                                json_integer_value(state_at_hand(l, "first_seq"))};
        if (json_integer_value(state_at_hand(l, "messages")) > 0) {
            call(l, "CONSUMER.LIST", name_at_hand(l), json_pack("{s:i}", "offset", 0),
                 on_consumers);
            return;
        }
    }
    finish(l, NULL);
}

/* --- the streams --- */

static bool counts(const struct look *l, const json_t *stream) {
    const json_t *config = json_object_get(stream, "config");
    const char *name = json_string_value(json_object_get(config, "name"));
    return name && (json_equal(json_object_get(config, "description"), l->about) ||
                    json_object_get(l->names, name));
}

static void on_streams(const struct bus_msg *m, const struct err *failed, void *arg);

static void list_from(struct look *l) {
    call(l, "STREAM.LIST", NULL, json_pack("{s:I}", "offset", l->seen), on_streams);
}

static void take_streams(struct look *l, const json_t *streams) {
    size_t i;
    json_t *s;
    json_array_foreach(streams, i, s) {
        l->seen++;
        if (counts(l, s))
            json_array_append(l->streams, s);
    }
}

/* Streams that come or go between two pages shift the rest: then the count changes. */
static void on_streams(const struct bus_msg *m, const struct err *failed, void *arg) {
    struct look *l = arg;
    struct err err;
    int code;
    json_t *answer = jsapi_answer(m, failed, &code, &err);
    if (!answer) {
        finish(l, &err);
        return;
    }
    json_int_t total = json_integer_value(json_object_get(answer, "total")), before = l->seen;
    bool odd = (before && total != l->total) || json_array_size(json_object_get(answer, "missing"));
    l->total = total;
    take_streams(l, json_object_get(answer, "streams"));
    json_decref(answer);
    if (odd || (l->seen < total && l->seen == before)) {
        fail(l, "not all streams");
    } else if (l->seen < total) {
        list_from(l);
    } else {
        l->ages = xcalloc(json_array_size(l->streams) + 1, sizeof *l->ages);
        next_stream(l);
    }
}

int stream_oldest(struct bus *b, const char *description, const char *const *names,
                  stream_oldest_cb cb, void *arg) {
    if (!bus_up(b))
        return -1;
    struct look *l = xcalloc(1, sizeof *l);
    l->b = b;
    l->about = json_string(description);
    l->names = json_object();
    l->streams = json_array();
    l->cb = cb;
    l->arg = arg;
    for (; *names; names++)
        json_object_set_new(l->names, *names, json_true());
    list_from(l);
    return 0;
}
