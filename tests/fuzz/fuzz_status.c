/* SPDX-License-Identifier: MIT */
/* What a NATS server says: statuses in headers, PubAcks, answers of JetStream's API. */
#include "bus/bus_msg.c" /* its status_of is static */
#include "bus/jsapi.h"
#include "bus/waits.h"
#include "fuzz.h"

static void status(const uint8_t *data, size_t size) {
    struct bus_msg m = {.subject = "_INBOX.x", .data = "", .len = 0};
    while (size) {
        char *line = fuzz_line(&data, &size), *colon = strchr(line, ':');
        if (colon) {
            *colon = 0;
            hdrs_add(&m.hdrs, line, colon + 1);
        }
        free(line);
    }
    int found = status_of(&m);
    HOLDS(found >= 0 && found <= 999);
    hdrs_free(&m.hdrs);
}

static void headers(const char *block, size_t n) {
    struct hdrs h = {0};
    hdrs_parse(&h, block, n);
    for (size_t i = 0; i < h.n; i++) {
        HOLDS(h.v[i].name[0] && !strpbrk(h.v[i].name, ":\n"));
        HOLDS(!strchr(h.v[i].value, '\n'));
    }
    hdrs_free(&h);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct err err = {0};
    bool duplicate = false;
    int code;
    char *text = xmemdup(data, size);
    HOLDS(puback_parse(text, size, &duplicate, &err) == 0 || err.kind == ERR_BUS);
    struct bus_msg m = {.subject = "_INBOX.x", .data = text, .len = size};
    err_clear(&err);
    json_t *answer = jsapi_answer(&m, NULL, &code, &err);
    HOLDS(answer || err.kind != ERR_NONE);
    json_decref(answer);
    status(data, size);
    headers(text, size);
    free(text);
    return 0;
}
