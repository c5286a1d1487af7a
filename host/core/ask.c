/* SPDX-License-Identifier: MIT */
#include "core/ask.h"
#include <string.h>

static const struct ask *const all[] = {
    &ask_sleep,      &ask_namespace,   &ask_client_send,      &ask_client_wait,   &ask_http,
    &ask_cache_get,  &ask_cache_set,   &ask_cache_invalidate, &ask_test_connect,  &ask_test_run,
    &ask_test_clock, &ask_test_client, &ask_test_crons,       &ask_client_cancel,
};

const struct ask *ask_find(const char *name) {
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (!strcmp(all[i]->name, name))
            return all[i];
    return NULL;
}

struct call_value ask_flag(bool flag) {
    return (struct call_value){.type = VALUE_BOOL, .flag = flag};
}

struct call_value ask_number(double number) {
    return (struct call_value){.type = VALUE_NUMBER, .number = number};
}

struct call_value ask_text(const char *p, size_t len) {
    if (!p)
        return (struct call_value){.type = VALUE_NIL};
    return (struct call_value){.type = VALUE_TEXT, .text = {p, len}};
}

void ask_refuse(struct run *r, const char *message) {
    struct call_value v[] = {ask_flag(false), ask_text(message, strlen(message))};
    run_answer(r, v, 2);
}
