/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* timegm */
#include "bus/jsapi.h"
#include "base/jsonval.h"
#include <stdio.h>
#include <string.h>
#include <time.h>

uint64_t jsapi_call(struct bus *b, const char *verb, const char *stream, const char *consumer,
                    json_t *body, bus_cb cb, void *arg, struct err *err) {
    struct buf subject = {0}, text = {0};
    buf_printf(&subject, "$JS.API.%s.%s", verb, stream);
    if (consumer)
        buf_printf(&subject, ".%s", consumer);
    if (body)
        jsonval_write(&text, body);
    uint64_t id = bus_request(b, subject.p, NULL, text.p, text.len, JSAPI_TIMEOUT_MS, cb, arg, err);
    buf_free(&subject);
    buf_free(&text);
    json_decref(body);
    return id;
}

static json_t *refused(json_t *answer, const json_t *error, int *code, struct err *err) {
    const char *text = json_string_value(json_object_get(error, "description"));
    *code = (int)json_integer_value(json_object_get(error, "err_code"));
    if (*code == JSAPI_OFF_FOR_ACCOUNT || *code == JSAPI_OFF)
        err_set(err, ERR_CONFIG, "JetStream is off (%d): start nats-server with -js", *code);
    else
        err_set(err, ERR_BUS, "%s (%d)", text ? text : "JetStream refused, no reason given", *code);
    json_decref(answer);
    return NULL;
}

json_t *jsapi_answer(const struct bus_msg *m, const struct err *failed, int *code,
                     struct err *err) {
    *code = 0;
    if (failed && failed->kind == ERR_TIMEOUT) { /* no responders are not told: see bus_connect.c */
        *code = JSAPI_SILENT;
        err_set(err, ERR_TIMEOUT,
                "no answer from JetStream within %d ms: start nats-server with -js (or wait for "
                "its cluster to have a leader)",
                JSAPI_TIMEOUT_MS);
        return NULL;
    }
    if (failed) {
        *err = *failed;
        return NULL;
    }
    /* not jsonval_read: the server's counters may go beyond 2^53 */
    json_t *answer = json_loadb(m->data, m->len, 0, NULL);
    const json_t *error = json_object_get(answer, "error");
    if (error)
        return refused(answer, error, code, err);
    if (!json_is_object(answer)) {
        json_decref(answer);
        err_set(err, ERR_BUS, "JetStream gave an answer that is no JSON object");
        return NULL;
    }
    return answer;
}

#define NO_TIME -1000000

int64_t jsapi_time_ns(const json_t *text) {
    struct tm tm = {0};
    int at = 0, ns = 0, hours, minutes;
    const char *s = json_string_value(text);
    if (!s || sscanf(s, "%4d-%2d-%2dT%2d:%2d:%2d%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday,
                     &tm.tm_hour, &tm.tm_min, &tm.tm_sec, &at) != 6)
        return NO_TIME;
    tm.tm_year -= 1900;
    tm.tm_mon--;
    int64_t seconds = timegm(&tm);
    s += at;
    for (int unit = 100000000; *s == '.' || (*s >= '0' && *s <= '9'); s++)
        if (*s != '.') {
            ns += (*s - '0') * unit;
            unit /= 10;
        }
    if (!strcmp(s, "Z"))
        return seconds * 1000000000 + ns;
    if (sscanf(s, "%3d:%2d", &hours, &minutes) != 2)
        return NO_TIME;
    return (seconds - (hours * 60 + (*s == '-' ? -minutes : minutes)) * 60LL) * 1000000000 + ns;
}
