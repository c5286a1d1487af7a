/* SPDX-License-Identifier: MIT */
#include "core/servers.h"
#include "pg/migrate.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CONNECT_TIMEOUT_MS 5000

enum { DATABASE, NATS, NATS_CA, NATS_CERT, NATS_KEY, NATS_CREDS, NAMESPACE, N_TEXTS };

/* One look at both, with certain settings. */
struct attempt {
    struct servers *s;
    char *texts[N_TEXTS], *name;
    uv_work_t work;
    bool looked, dialled; /* over */
    bool refused;         /* by PostgreSQL, or for what is in it */
    bool unwanted;
    struct err pg_err, bus_err;
    struct bus *bus; /* NULL: not there */
};

struct servers {
    uv_loop_t *loop;
    char *sql_dir;
    struct bus_options bus;
    struct attempt *attempt; /* under way, or over and not taken; NULL: none */
    int under_way;           /* threads */
    servers_cb cb;           /* NULL: not asked for */
    void *arg;
};

/* --- an attempt --- */

static void texts_of(const struct config *c, const char *texts[N_TEXTS]) {
    texts[DATABASE] = c->database_url;
    texts[NATS] = c->nats_url;
    texts[NATS_CA] = c->nats_ca_file;
    texts[NATS_CERT] = c->nats_cert_file;
    texts[NATS_KEY] = c->nats_key_file;
    texts[NATS_CREDS] = c->nats_creds_file;
    texts[NAMESPACE] = c->namespace_;
}

static bool is_for(const struct attempt *a, const struct config *c) {
    const char *texts[N_TEXTS];
    texts_of(c, texts);
    for (int i = 0; i < N_TEXTS; i++)
        if (!a->texts[i] != !texts[i] || (texts[i] && strcmp(a->texts[i], texts[i]) != 0))
            return false;
    return true;
}

/* PostgreSQL's refusal needs no word of NATS. */
static bool decided(const struct attempt *a) {
    return a->looked && (a->refused || a->dialled);
}

static bool failed(const struct attempt *a) {
    return (a->looked && a->refused) || (a->dialled && !a->bus);
}

/* Its threads may still hold it. */
static void drop(struct attempt *a) {
    a->unwanted = true;
    if (!a->looked || !a->dialled)
        return;
    bus_delete(a->bus);
    for (int i = 0; i < N_TEXTS; i++)
        free(a->texts[i]);
    free(a->name);
    free(a);
}

/* The attempt is decided, and somebody waits for it. */
static void deliver(struct servers *s) {
    struct attempt *a = s->attempt;
    servers_cb cb = s->cb;
    struct bus *bus = a->refused ? NULL : a->bus;
    struct err err = a->refused ? a->pg_err : a->bus_err;
    if (bus)
        a->bus = NULL;
    s->cb = NULL;
    s->attempt = NULL;
    drop(a);
    cb(bus, bus ? NULL : &err, s->arg);
}

static void on_over(struct attempt *a) {
    struct servers *s = a->s;
    s->under_way--;
    if (a->unwanted)
        drop(a);
    else if (s->cb && decided(a))
        deliver(s);
}

static void look(uv_work_t *work) { /* on a thread of the pool */
    struct attempt *a = work->data;
    a->refused = migrate_check(a->texts[DATABASE], a->s->sql_dir, &a->pg_err) != 0;
}

static void on_looked(uv_work_t *work, int status) {
    struct attempt *a = work->data;
    a->looked = true;
    on_over(a);
}

static void on_dialled(struct bus *bus, const struct err *err, void *arg) {
    struct attempt *a = arg;
    a->dialled = true;
    a->bus = bus;
    if (err)
        a->bus_err = *err;
    on_over(a);
}

static void begin(struct servers *s, const struct config *c) {
    struct attempt *a = s->attempt = xcalloc(1, sizeof *a);
    const char *texts[N_TEXTS];
    texts_of(c, texts);
    a->s = s;
    for (int i = 0; i < N_TEXTS; i++)
        a->texts[i] = xstrdup(texts[i]);
    a->name = xasprintf("rbf %s %d", c->namespace_, (int)getpid());
    a->work.data = a;
    s->under_way += 2;
    struct bus_options o = s->bus;
    o.url = a->texts[NATS];
    o.ca_file = a->texts[NATS_CA];
    o.cert_file = a->texts[NATS_CERT];
    o.key_file = a->texts[NATS_KEY];
    o.creds_file = a->texts[NATS_CREDS];
    o.name = a->name;
    o.connect_timeout_ms = CONNECT_TIMEOUT_MS;
    bus_open(s->loop, &o, on_dialled, a); /* first: see bus.h */
    uv_queue_work(s->loop, &a->work, look, on_looked);
}

static void forget(struct servers *s) {
    if (s->attempt)
        drop(s->attempt);
    s->attempt = NULL;
}

/* --- what a worker asks for --- */

void servers_begin(struct servers *s, const struct config *c) {
    if (s->attempt && failed(s->attempt))
        forget(s);
    if (!s->attempt && c->database_url && c->nats_url)
        begin(s, c);
}

void servers_take(struct servers *s, const struct config *c, servers_cb cb, void *arg) {
    if (s->attempt && !is_for(s->attempt, c))
        forget(s);
    if (!s->attempt)
        begin(s, c);
    s->cb = cb;
    s->arg = arg;
    if (decided(s->attempt))
        deliver(s);
}

/* --- life --- */

struct servers *servers_new(uv_loop_t *loop, const char *sql_dir, const struct bus_options *bus) {
    struct servers *s = xcalloc(1, sizeof *s);
    *s = (struct servers){.loop = loop, .sql_dir = xstrdup(sql_dir), .bus = *bus};
    return s;
}

bool servers_close(struct servers *s) {
    s->cb = NULL;
    forget(s);
    return s->under_way == 0;
}

void servers_delete(struct servers *s) {
    if (!s)
        return;
    free(s->sql_dir);
    free(s);
}
