/* SPDX-License-Identifier: MIT */
#include "cache/redis_link.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "cache/redis_poll.h"
#include <stdlib.h>
#include <string.h>

#define FIRST_PAUSE_MS 50
#define LONGEST_PAUSE_MS 2000
#define GRACE_MS 10

struct redis_link {
    uv_loop_t *loop;
    struct redis_url url;
    const struct redis_link_owner *owner;
    redisAsyncContext *ac; /* NULL: none now */
    uv_timer_t timer;      /* while there is a connection its deadlines, else the pause */
    uv_getaddrinfo_t lookup;
    unsigned lookups;
    bool looking_up, up, closing;
    bool told_away; /* in the log */
    bool told_refused;
    uint64_t setup_ends_ms;
    uint64_t pause_ms;
    bool overdue;     /* an answer was, when last looked at, and nothing has come since */
    struct list sent; /* struct sent.node: in order, so the first is the oldest */
    char run_id[48];
    char sha[REDIS_SCRIPTS_MAX][48];
    int setup_left;
};

struct sent {
    struct list node;
    struct redis_link *l;
    uint64_t deadline_ms;
    redis_link_cb cb;
    void *arg;
};

static void connect_now(struct redis_link *l);
static void arm(struct redis_link *l);

/* --- it breaks --- */

static void tell_away(struct redis_link *l, const char *why) {
    if (!l->told_away)
        log_warn("Redis is away: the cache has nothing until it is back", LOG_S("at", l->url.shown),
                 LOG_S("error", why));
    l->told_away = true;
}

/* The connection is gone already. */
static void lost(struct redis_link *l, const char *why) {
    bool was_up = l->up;
    l->ac = NULL;
    l->up = false;
    if (l->closing)
        return;
    tell_away(l, why);
    l->pause_ms = l->pause_ms ? l->pause_ms * 2 : FIRST_PAUSE_MS;
    if (l->pause_ms > LONGEST_PAUSE_MS)
        l->pause_ms = LONGEST_PAUSE_MS;
    arm(l);
    if (was_up)
        l->owner->on_down(l->owner->arg);
}

static void break_off(struct redis_link *l, const char *why) {
    redisAsyncContext *ac = l->ac;
    if (!ac)
        return;
    l->up = false; /* who hears of its NULL must not ask again on this one */
    l->ac = NULL;
    redisAsyncFree(ac);
    lost(l, why);
}

static void on_disconnect(const redisAsyncContext *ac, int status) {
    struct redis_link *l = ac->data;
    if (ac == l->ac)
        lost(l, *ac->c.errstr ? ac->c.errstr : "the connection was closed");
}

/* --- commands --- */

/* These say that the connection is of no use as it is: the scripts are gone, the server is a
 * replica now, or starting. */
static bool is_fatal(const redisReply *r) {
    static const char *const words[] = {"NOSCRIPT", "READONLY", "LOADING", "NOAUTH", "MASTERDOWN"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (!strncmp(r->str, words[i], strlen(words[i])))
            return true;
    return false;
}

static void on_reply(redisAsyncContext *ac, void *reply, void *arg) {
    struct sent *s = arg;
    struct redis_link *l = s->l;
    const redisReply *r = reply;
    l->overdue = false;
    list_remove(&s->node);
    s->cb(r, s->arg);
    free(s);
    if (r && r->type == REDIS_REPLY_ERROR && ac == l->ac && l->up && is_fatal(r))
        break_off(l, r->str);
}

static bool submit(struct redis_link *l, int argc, const char **argv, const size_t *lens,
                   redis_link_cb cb, void *arg) {
    struct sent *s = xcalloc(1, sizeof *s);
    s->l = l;
    s->cb = cb;
    s->arg = arg;
    s->deadline_ms = clock_mono_ms() + REDIS_ANSWER_MS;
    list_push(&l->sent, &s->node);
    if (l->ac && redisAsyncCommandArgv(l->ac, on_reply, s, argc, argv, lens) == REDIS_OK) {
        if (!uv_is_active((uv_handle_t *)&l->timer))
            arm(l);
        return true;
    }
    list_remove(&s->node); /* it is being freed around us */
    free(s);
    return false;
}

bool redis_link_eval(struct redis_link *l, int script, const struct redis_args *args,
                     redis_link_cb cb, void *arg) {
    char keys[12];
    if (!l->up)
        return false;
    snprintf(keys, sizeof keys, "%d", args->n_keys);
    const char **argv = xcalloc((size_t)args->n + 3, sizeof *argv);
    size_t *lens = xcalloc((size_t)args->n + 3, sizeof *lens);
    argv[0] = "EVALSHA";
    argv[1] = l->sha[script];
    argv[2] = keys;
    for (int i = 0; i < 3; i++)
        lens[i] = strlen(argv[i]);
    memcpy(argv + 3, args->v, (size_t)args->n * sizeof *argv);
    memcpy(lens + 3, args->lens, (size_t)args->n * sizeof *lens);
    bool sent = submit(l, args->n + 3, argv, lens, cb, arg);
    free(argv);
    free(lens);
    return sent;
}

/* --- deadlines, and the pause --- */

static bool is_overdue(const struct redis_link *l, uint64_t now) {
    if (!l->up)
        return now >= l->setup_ends_ms;
    const struct list *first = l->sent.next;
    return first != &l->sent && now >= container_of(first, struct sent, node)->deadline_ms;
}

/* Timers come before what can be read: if it was this process that had no time, the answer is there
 * and only has to be taken. So an overdue one is looked at twice. */
static void on_timer(uv_timer_t *timer) {
    struct redis_link *l = timer->data;
    bool overdue = l->ac && is_overdue(l, clock_mono_ms());
    if (!l->ac) {
        connect_now(l);
    } else if (overdue && l->overdue) {
        break_off(l, "it does not answer in time");
    } else if (overdue) {
        l->overdue = true;
        uv_timer_start(timer, on_timer, GRACE_MS, 0);
    } else {
        arm(l);
    }
}

static void arm(struct redis_link *l) {
    uint64_t at, now = clock_mono_ms();
    if (!l->ac)
        at = now + l->pause_ms;
    else if (!l->up)
        at = l->setup_ends_ms;
    else if (!list_empty(&l->sent))
        at = container_of(l->sent.next, struct sent, node)->deadline_ms;
    else
        return;
    uv_update_time(l->loop);
    uv_timer_start(&l->timer, on_timer, at > now ? at - now : 0, 0);
}

/* --- a new connection: AUTH, SELECT, who it is, the scripts --- */

/* The server answered, with a no: somebody has to do something about it. */
static void refused(struct redis_link *l, const char *why) {
    if (!l->told_refused)
        log_error("Redis refuses this host; see its users and their rights",
                  LOG_S("at", l->url.shown), LOG_S("error", why));
    l->told_refused = true;
    break_off(l, why);
}

static void come_up(struct redis_link *l) {
    l->up = true;
    l->pause_ms = 0;
    uv_timer_stop(&l->timer);
    log_info(l->told_away ? "Redis is back" : "Redis is the cache", LOG_S("at", l->url.shown));
    l->told_away = l->told_refused = false;
    l->owner->on_up(l->owner->arg);
}

static bool setup_answer(struct redis_link *l, const redisReply *r) {
    if (!r || l->closing)
        return false;
    if (r->type == REDIS_REPLY_ERROR) {
        refused(l, r->str);
        return false;
    }
    return true;
}

static void setup_step(struct redis_link *l) {
    if (--l->setup_left == 0)
        come_up(l);
}

static void on_plain(const redisReply *r, void *arg) {
    struct redis_link *l = arg;
    if (setup_answer(l, r))
        setup_step(l);
}

static void on_info(const redisReply *r, void *arg) {
    struct redis_link *l = arg;
    if (!setup_answer(l, r))
        return;
    const char *at = r->type == REDIS_REPLY_STRING ? strstr(r->str, "run_id:") : NULL;
    size_t n = at ? strcspn(at + 7, "\r\n ") : 0;
    if (n == 0 || n >= sizeof l->run_id) {
        refused(l, "INFO server does not tell a run_id");
        return;
    }
    snprintf(l->run_id, sizeof l->run_id, "%.*s", (int)n, at + 7);
    setup_step(l);
}

static void on_loaded(const redisReply *r, void *arg) {
    struct redis_link *l = arg;
    if (!setup_answer(l, r))
        return;
    int i = 0; /* they are answered in their order */
    while (l->sha[i][0])
        i++;
    snprintf(l->sha[i], sizeof l->sha[i], "%s", r->str ? r->str : "");
    setup_step(l);
}

static void setup_send(struct redis_link *l, redis_link_cb cb, int argc, const char **argv) {
    l->setup_left++;
    (void)submit(l, argc, argv, NULL, cb, l); /* not sent: the setup's deadline tells */
}

static void set_up(struct redis_link *l) {
    char db[12];
    const struct redis_url *u = &l->url;
    snprintf(db, sizeof db, "%d", u->db);
    l->setup_left = 0;
    memset(l->sha, 0, sizeof l->sha);
    if (u->user)
        setup_send(l, on_plain, 3, (const char *[]){"AUTH", u->user, u->password});
    else if (u->password)
        setup_send(l, on_plain, 2, (const char *[]){"AUTH", u->password});
    if (u->db)
        setup_send(l, on_plain, 2, (const char *[]){"SELECT", db});
    setup_send(l, on_info, 2, (const char *[]){"INFO", "server"});
    for (int i = 0; l->owner->scripts[i]; i++)
        setup_send(l, on_loaded, 3, (const char *[]){"SCRIPT", "LOAD", l->owner->scripts[i]});
}

static void on_connect(const redisAsyncContext *ac, int status) {
    struct redis_link *l = ac->data;
    if (ac == l->ac && status != REDIS_OK) /* hiredis frees it */
        lost(l, *ac->c.errstr ? ac->c.errstr : "cannot connect");
}

static void take(struct redis_link *l, redisAsyncContext *ac) {
    if (!ac || ac->err || redis_poll_attach(ac, l->loop)) {
        struct buf why = {0};
        buf_puts(&why, ac && ac->err ? ac->errstr : "cannot make a connection");
        if (ac)
            redisAsyncFree(ac);
        lost(l, why.p);
        buf_free(&why);
        return;
    }
    l->ac = ac;
    l->overdue = false;
    ac->data = l;
    redisAsyncSetConnectCallback(ac, on_connect);
    redisAsyncSetDisconnectCallback(ac, on_disconnect);
    l->setup_ends_ms = clock_mono_ms() + REDIS_CONNECT_MS;
    set_up(l); /* goes out once it is connected */
    arm(l);
}

static void on_closed(uv_handle_t *handle) {
    free(handle->data);
}

/* Another one of a name's addresses each time: the first may be one where nobody listens. */
static int choose(struct redis_link *l, const struct addrinfo *found, char *name, size_t size) {
    unsigned n = 0;
    for (const struct addrinfo *it = found; it; it = it->ai_next)
        n++;
    for (unsigned skip = l->lookups++ % n; skip > 0; skip--)
        found = found->ai_next;
    if (found->ai_family == AF_INET6)
        return uv_ip6_name((struct sockaddr_in6 *)found->ai_addr, name, size);
    return uv_ip4_name((struct sockaddr_in *)found->ai_addr, name, size);
}

static void on_address(uv_getaddrinfo_t *lookup, int status, struct addrinfo *found) {
    struct redis_link *l = lookup->data;
    char name[64];
    l->looking_up = false;
    if (!status && !l->closing)
        status = choose(l, found, name, sizeof name);
    uv_freeaddrinfo(found);
    if (l->closing)
        uv_close((uv_handle_t *)&l->timer, on_closed);
    else if (status)
        lost(l, uv_strerror(status));
    else
        take(l, redisAsyncConnect(name, atoi(l->url.port)));
}

/* hiredis would look a name up while everything waits. */
static void connect_now(struct redis_link *l) {
    if (l->url.path) {
        take(l, redisAsyncConnectUnix(l->url.path));
        return;
    }
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    l->lookup.data = l;
    int rc = uv_getaddrinfo(l->loop, &l->lookup, on_address, l->url.host, l->url.port, &hints);
    l->looking_up = rc == 0;
    if (rc)
        lost(l, uv_strerror(rc));
}

/* --- life --- */

struct redis_link *redis_link_new(uv_loop_t *loop, struct redis_url *url,
                                  const struct redis_link_owner *owner) {
    struct redis_link *l = xcalloc(1, sizeof *l);
    l->loop = loop;
    l->url = *url;
    memset(url, 0, sizeof *url);
    l->owner = owner;
    list_init(&l->sent);
    uv_timer_init(loop, &l->timer);
    l->timer.data = l;
    uv_timer_start(&l->timer, on_timer, 0, 0);
    return l;
}

bool redis_link_up(const struct redis_link *l) {
    return l->up;
}

const char *redis_link_run_id(const struct redis_link *l) {
    return l->run_id;
}

void redis_link_delete(struct redis_link *l) {
    if (!l)
        return;
    l->closing = true;
    break_off(l, "");
    redis_url_free(&l->url);
    uv_timer_stop(&l->timer);
    if (l->looking_up)
        uv_cancel((uv_req_t *)&l->lookup); /* its callback closes */
    else
        uv_close((uv_handle_t *)&l->timer, on_closed);
}
