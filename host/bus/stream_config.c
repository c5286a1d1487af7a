/* SPDX-License-Identifier: MIT */
#include "bus/stream_config.h"
#include "base/jsonval.h"
#include <string.h>

#define NS_PER_MS 1000000LL
#define DUPLICATE_WINDOW_NS (120 * 1000 * NS_PER_MS)
#define MAX_WAITING 512
#define OURS "rbf namespace "

json_t *stream_config_new(const struct stream_spec *spec) {
    return json_pack("{s:s, s:[s], s:s, s:s, s:s, s:i, s:I}", "name", spec->stream, "subjects",
                     spec->subjects, "description", spec->description, "retention", "workqueue",
                     "storage", "file", "num_replicas", spec->replicas, "duplicate_window",
                     (json_int_t)DUPLICATE_WINDOW_NS);
}

static const char *text_of(const json_t *config, const char *field) {
    const char *s = json_string_value(json_object_get(config, field));
    return s ? s : "";
}

static int refuse(const struct stream_spec *spec, bool consumer, const char *field,
                  const char *found, const char *expected, struct err *err) {
    struct buf cure = {0};
    if (consumer)
        buf_printf(&cure, "delete the consumer (`nats consumer rm %s %s`) or name another one",
                   spec->stream, spec->consumer);
    else
        buf_printf(&cure,
                   "delete the stream (`nats stream rm %s`) or give the queue another one "
                   "(its option stream, or a subjectPrefix)",
                   spec->stream);
    int rc =
        err_set(err, ERR_CONFIG,
                "stream '%s'%s%s%s: field %s is '%s', expected '%s', and it cannot be changed: "
                "%s",
                spec->stream, consumer ? ", consumer '" : "", consumer ? spec->consumer : "",
                consumer ? "'" : "", field, found, expected, cure.p);
    buf_free(&cure);
    return rc;
}

/* Sets an integer field that differs; true when it did. */
static bool mend(json_t *config, const char *field, int64_t value) {
    if (json_integer_value(json_object_get(config, field)) == value)
        return false;
    json_object_set_new(config, field, json_integer(value));
    return true;
}

/* Does pattern (with * and >) take all that subject (with them too) stands for? */
static bool covers(const char *pattern, const char *subject) {
    for (;;) {
        size_t p = strcspn(pattern, "."), s = strcspn(subject, ".");
        if (p == 1 && pattern[0] == '>')
            return true;
        bool star = p == 1 && pattern[0] == '*' && !(s == 1 && subject[0] == '>');
        if (!star && (p != s || memcmp(pattern, subject, p) != 0))
            return false;
        if (!pattern[p] || !subject[s])
            return !pattern[p] && !subject[s];
        pattern += p + 1;
        subject += s + 1;
    }
}

static bool has_subjects(const json_t *config, const char *subjects) {
    size_t i;
    json_t *it;
    json_array_foreach(json_object_get(config, "subjects"), i, it) {
        if (covers(json_string_value(it), subjects))
            return true;
    }
    return false;
}

static int check_stream(const struct stream_spec *spec, const json_t *config, struct err *err) {
    const char *retention = text_of(config, "retention"), *storage = text_of(config, "storage");
    if (strcmp(retention, "workqueue") != 0)
        return refuse(spec, false, "retention", retention, "workqueue", err);
    if (strcmp(storage, "file") != 0 && strcmp(storage, "memory") != 0)
        return refuse(spec, false, "storage", storage, "file", err);
    if (json_is_true(json_object_get(config, "no_ack")))
        return refuse(spec, false, "no_ack", "true", "false", err);
    if (json_is_true(json_object_get(config, "sealed")))
        return refuse(spec, false, "sealed", "true", "false", err);
    const char *about = text_of(config, "description");
    if (strncmp(about, OURS, strlen(OURS)) == 0 && strcmp(about, spec->description) != 0)
        return refuse(spec, false, "description", about, spec->description, err);
    return 0;
}

static char *subjects_text(const json_t *config) {
    struct buf out = {0};
    const json_t *list = json_object_get(config, "subjects");
    jsonval_write(&out, list ? list : json_null());
    return buf_steal(&out);
}

/* A stream made by hand (its description is not ours) is taken as it is when it fits. */
enum config_fit stream_config_fit(const struct stream_spec *spec, json_t *config, struct err *err) {
    if (check_stream(spec, config, err) < 0)
        return FIT_NEVER;
    bool ours = strcmp(text_of(config, "description"), spec->description) == 0;
    bool has = has_subjects(config, spec->subjects);
    if (!ours && !has) {
        char *found = subjects_text(config);
        refuse(spec, false, "subjects", found, spec->subjects, err);
        free(found);
        return FIT_NEVER;
    }
    if (!ours)
        return FIT;
    bool change = !has;
    if (!has && !json_object_get(config, "subjects"))
        json_object_set_new(config, "subjects", json_array());
    if (!has)
        json_array_append_new(json_object_get(config, "subjects"), json_string(spec->subjects));
    change |= mend(config, "num_replicas", spec->replicas);
    if (json_integer_value(json_object_get(config, "duplicate_window")) < DUPLICATE_WINDOW_NS)
        change |= mend(config, "duplicate_window", DUPLICATE_WINDOW_NS);
    return change ? FIT_UPDATE : FIT;
}

bool stream_config_is_shared(const struct stream_spec *spec, const json_t *stream_config) {
    const json_t *subjects = json_object_get(stream_config, "subjects");
    return spec->shared || json_array_size(subjects) != 1 ||
           strcmp(json_string_value(json_array_get(subjects, 0)), spec->subjects) != 0;
}

/* In a stream of its own a consumer keeps nothing in a file, as a work queue says all: what is
 * stored is not acked. (With replicas it does, or none is left that knows anything when one server
 * after the other is started anew: nats-server 2.15 then serves it no more.) The file is written
 * apart from the stream's, so that a killed server (2.9.10) finds the two at odds: messages to be
 * acked that are gone, each of which stops delivery until the next ack_wait, and stored ones that
 * it believes acked. And it has no filter, as the server then goes by an index of subjects that
 * loses sight of the first message of a subject once later ones were acked before it (2.9.10:
 * removeSeqPerSubject takes the last known for the only one left): one that begins anew is never
 * given it. Of the two, a stream of several queues has the first: it needs filters. */
json_t *consumer_config_new(const struct stream_spec *spec, const json_t *stream_config) {
    bool own = !stream_config_is_shared(spec, stream_config);
    bool in_memory = own && spec->replicas <= 1;
    return json_pack(
        "{s:s, s:{s:s, s:s, s:s, s:s*, s:I, s:i, s:I, s:i, s:b}}", "stream_name", spec->stream,
        "config", "durable_name", spec->consumer, "ack_policy", "explicit", "deliver_policy", "all",
        "filter_subject", own ? NULL : spec->subjects, "ack_wait",
        (json_int_t)(spec->ack_wait_ms * NS_PER_MS), "max_deliver", -1, "max_ack_pending",
        (json_int_t)spec->max_ack_pending, "max_waiting", MAX_WAITING, "mem_storage", in_memory);
}

static bool is_in_memory(const json_t *config) {
    return json_is_true(json_object_get(config, "mem_storage"));
}

bool consumer_config_withholds(const json_t *config, const json_t *stream_config) {
    json_int_t replicas = json_integer_value(json_object_get(stream_config, "num_replicas"));
    return text_of(config, "filter_subject")[0] || (replicas <= 1 && !is_in_memory(config));
}

/* Made when the queue was alone in its stream (a filter that is changed does not work: 2.9.10
 * forgets that it has wildcards), or had no replicas. */
static bool is_outgrown(const struct stream_spec *spec, const json_t *config,
                        const json_t *stream_config) {
    bool in_memory = is_in_memory(config), shared = stream_config_is_shared(spec, stream_config);
    if (text_of(config, "filter_subject")[0])
        return false;
    return spec->replicas > 1 ? in_memory || shared : in_memory && shared;
}

static bool filter_fits(const struct stream_spec *spec, const char *filter, const json_t *stream) {
    return filter[0] ? strcmp(filter, spec->subjects) == 0 : !stream_config_is_shared(spec, stream);
}

static int check_consumer(const struct stream_spec *spec, const json_t *config,
                          const json_t *stream_config, struct err *err) {
    const char *ack = text_of(config, "ack_policy"), *deliver = text_of(config, "deliver_policy");
    const char *filter = text_of(config, "filter_subject");
    if (strcmp(ack, "explicit") != 0)
        return refuse(spec, true, "ack_policy", ack, "explicit", err);
    if (strcmp(deliver, "all") != 0)
        return refuse(spec, true, "deliver_policy", deliver, "all", err);
    if (text_of(config, "deliver_subject")[0])
        return refuse(spec, true, "deliver_subject", text_of(config, "deliver_subject"), "", err);
    if (!filter_fits(spec, filter, stream_config))
        return refuse(spec, true, "filter_subject", filter, spec->subjects, err);
    return 0;
}

enum config_fit consumer_config_fit(const struct stream_spec *spec, json_t *config,
                                    const json_t *stream_config, struct err *err) {
    if (is_outgrown(spec, config, stream_config))
        return FIT_REMAKE;
    if (check_consumer(spec, config, stream_config, err) < 0)
        return FIT_NEVER;
    bool change = mend(config, "ack_wait", spec->ack_wait_ms * NS_PER_MS);
    change |= mend(config, "max_ack_pending", spec->max_ack_pending);
    change |= mend(config, "max_deliver", -1);
    /* backoff overrides ack_wait; the others make the server refuse our pulls. */
    static const char *const unwanted[] = {"backoff", "max_batch", "max_expires", "max_bytes"};
    for (size_t i = 0; i < sizeof unwanted / sizeof *unwanted; i++)
        change |= json_object_del(config, unwanted[i]) == 0;
    return change ? FIT_UPDATE : FIT;
}
