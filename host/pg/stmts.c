/* SPDX-License-Identifier: MIT */
#include "pg/stmts.h"
#include "base/buf.h"
#include "base/clock.h"
#include "pg/session.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REPLAN_FIRST_MS 250
#define REPLAN_MOST_MS 64000

void stmts_init(struct stmts *s) {
    *s = (struct stmts){0};
    list_init(&s->used);
    list_init(&s->gone);
    list_init(&s->lapsed);
}

static void delete (struct stmt *st) {
    free(st->types);
    free(st);
}

static void empty(struct list *head) {
    for (struct list *it; (it = list_pop(head));)
        delete (container_of(it, struct stmt, node));
}

void stmts_free(struct stmts *s) {
    HASH_CLEAR(hh, s->by_sql);
    empty(&s->used);
    empty(&s->gone);
    empty(&s->lapsed);
}

bool stmts_replan(struct stmts *s) {
    uint64_t now = clock_mono_ms();
    if (now < s->replan_at_ms)
        return false;
    bool first = !s->replan_at_ms; /* nothing is planned yet */
    s->replan_after_ms = first ? REPLAN_FIRST_MS : s->replan_after_ms * 2;
    if (s->replan_after_ms > REPLAN_MOST_MS)
        s->replan_after_ms = REPLAN_MOST_MS;
    s->replan_at_ms = now + s->replan_after_ms;
    return !first;
}

void stmts_begin(struct stmts *s) {
    empty(&s->lapsed);
    s->flight++;
}

void stmts_forget(struct stmts *s, struct stmt *st, bool exists) {
    if (st->forgotten)
        return;
    st->forgotten = true;
    HASH_DEL(s->by_sql, st);
    list_remove(&st->node);
    list_push(exists ? &s->gone : &s->lapsed, &st->node);
}

/* False when even the oldest is used in this flight. */
static bool make_room(struct stmts *s) {
    if (HASH_COUNT(s->by_sql) < STMTS_MAX)
        return true;
    struct stmt *oldest = container_of(s->used.next, struct stmt, node);
    if (oldest->flight == s->flight)
        return false;
    stmts_forget(s, oldest, oldest->state == STMT_READY);
    return true;
}

static struct stmt *make(struct stmts *s, const char *sql, size_t len) {
    struct stmt *st = xcalloc(1, sizeof *st + len + 1);
    memcpy(st->sql, sql, len + 1);
    snprintf(st->name, sizeof st->name, "s%" PRIu64, ++s->made);
    st->touches = session_touches(sql);
    list_init(&st->node);
    HASH_ADD(hh, s->by_sql, sql, len, st);
    return st;
}

struct stmt *stmts_get(struct stmts *s, const char *sql) {
    size_t len = strlen(sql);
    struct stmt *st;
    HASH_FIND(hh, s->by_sql, sql, len, st);
    if (!st) {
        if (!make_room(s))
            return NULL;
        st = make(s, sql, len);
    }
    list_remove(&st->node);
    list_push(&s->used, &st->node);
    st->flight = s->flight;
    return st;
}

const struct stmt *stmts_find(const struct stmts *s, const char *sql) {
    struct stmt *st;
    HASH_FIND(hh, s->by_sql, sql, strlen(sql), st);
    return st;
}

const char *stmts_next_gone(struct stmts *s, char name[24]) {
    struct list *it = list_pop(&s->gone);
    if (!it)
        return NULL;
    struct stmt *st = container_of(it, struct stmt, node);
    memcpy(name, st->name, sizeof st->name);
    delete (st);
    return name;
}
