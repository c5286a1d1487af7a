/* SPDX-License-Identifier: MIT */
/* ask_cache - r.cache of queries: get (key) → true, text or nil; set (key, text, ttl in ms) and
 * invalidate (key) → true, without waiting. */
#include "core/ask.h"
#include "core/cache.h"
#include <string.h>

#define ELSEWHERE "this is not a query's own run: only there can the cache be asked"

static void on_got(const char *text, size_t len, void *arg) {
    struct run *r = arg;
    struct call_value v[] = {ask_flag(true), ask_text(text, len)};
    r->asked = NULL;
    run_answer(r, v, 2);
}

static void start_get(struct run *r, const struct call_value *args, int n) {
    if (!r->reader.reading)
        ask_refuse(r, ELSEWHERE);
    else
        r->asked = cache_get(r->h->cache, &r->reader, r->begin, args[0].text.p, on_got, r);
}

static void cancel_get(struct run *r) {
    cache_get_cancel(r->asked);
    r->asked = NULL;
}

static void say_yes(struct run *r) {
    struct call_value yes = ask_flag(true);
    run_answer(r, &yes, 1);
}

static void start_set(struct run *r, const struct call_value *args, int n) {
    if (!r->reader.reading) {
        ask_refuse(r, ELSEWHERE);
        return;
    }
    cache_set(r->h->cache, &r->reader, args[0].text.p, args[1].text.p, args[1].text.len,
              (uint64_t)args[2].number);
    say_yes(r);
}

static void start_invalidate(struct run *r, const struct call_value *args, int n) {
    if (!r->reader.reading) {
        ask_refuse(r, ELSEWHERE);
        return;
    }
    cache_invalidate(r->h->cache, args[0].text.p);
    say_yes(r);
}

static void cancel(struct run *r) {}

const struct ask ask_cache_get = {"cache.get", start_get, cancel_get};
const struct ask ask_cache_set = {"cache.set", start_set, cancel};
const struct ask ask_cache_invalidate = {"cache.invalidate", start_invalidate, cancel};
