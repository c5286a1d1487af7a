/* SPDX-License-Identifier: MIT */
#include "base/jsonval.h"
#include "bus/jsapi.h"
#include "bus/stream.h"
#include <stdlib.h>
#include <string.h>

struct lookup {
    stream_lookup_cb cb;
    void *arg;
};

static void on_names(const struct bus_msg *m, const struct err *failed, void *arg) {
    struct lookup *l = arg;
    struct err err = {0};
    int code;
    json_t *answer = jsapi_answer(m, failed, &code, &err);
    bool exists = json_array_size(json_object_get(answer, "streams")) > 0;
    l->cb(exists, answer ? NULL : &err, l->arg);
    json_decref(answer);
    free(l);
}

int stream_lookup(struct bus *b, const char *subject, stream_lookup_cb cb, void *arg) {
    struct lookup *l = xcalloc(1, sizeof *l);
    struct buf body = {0};
    l->cb = cb;
    l->arg = arg;
    buf_puts(&body, "{\"subject\":");
    uint64_t sent = 0;
    if (jsonval_put_string(&body, subject, strlen(subject), NULL) == 0) {
        buf_putc(&body, '}');
        sent = bus_request(b, "$JS.API.STREAM.NAMES", NULL, body.p, body.len, JSAPI_TIMEOUT_MS,
                           on_names, l, NULL);
    }
    buf_free(&body);
    if (!sent)
        free(l);
    return sent ? 0 : -1;
}
