/* SPDX-License-Identifier: MIT */
#include "base/log.h"
#include "cache/redis_link.h"
#include "cache/redis_url.h"
#include "redisserver.h"

struct fixture {
    struct redisserver s;
    struct testloop l;
    struct redis *r;
    int ups;
};

static void on_up(void *arg) {
    struct fixture *f = arg;
    f->ups++;
}

static struct redis *open_at(struct fixture *f, const char *url, const char *prefix) {
    struct err err;
    struct redis *r = redis_new(&f->l.loop, url, prefix, on_up, f, &err);
    if (!r)
        fail_msg("%s", err.msg);
    return r;
}

static int setup(void **state) {
    static struct fixture f;
    memset(&f, 0, sizeof f);
    redisserver_start(&f.s, "");
    testloop_init(&f.l);
    f.r = open_at(&f, f.s.url, "test");
    UNTIL(&f.l, 30000, redis_up(f.r));
    *state = &f;
    return 0;
}

static int teardown(void **state) {
    struct fixture *f = *state;
    redis_delete(f->r);
    testloop_end(&f->l);
    redisserver_end(&f->s);
    return 0;
}

/* --- answers --- */

struct got {
    int calls;
    bool answered;
    char text[64];
    struct redis_stamp now;
};

static void on_got(const char *text, size_t len, const struct redis_stamp *now, void *arg) {
    struct got *g = arg;
    g->calls++;
    g->answered = now;
    if (text)
        snprintf(g->text, sizeof g->text, "%.*s", (int)len, text);
    else
        strcpy(g->text, "(nothing)");
    if (now)
        g->now = *now;
}

static const char *get_once(struct fixture *f, struct redis *r, const char *key) {
    static struct got g;
    memset(&g, 0, sizeof g);
    if (!redis_get(r, key, on_got, &g))
        return "(away)";
    UNTIL(&f->l, 30000, g.calls == 1);
    return g.answered ? g.text : "(no answer)";
}

/* Again when the connection was given up: a busy machine may stop the server for REDIS_ANSWER_MS.
 */
static const char *get(struct fixture *f, struct redis *r, const char *key) {
    const char *text;
    do {
        UNTIL(&f->l, 30000, redis_up(r));
        text = get_once(f, r, key);
    } while (!strcmp(text, "(no answer)") && !redis_up(r));
    return text;
}

static void set(struct redis *r, const char *key, const char *text,
                const struct redis_stamp *began) {
    redis_set(r, key, text, strlen(text), 60000, began);
}

struct done {
    int calls;
    enum err_kind kind;
};

static void on_done(const struct err *err, void *arg) {
    struct done *d = arg;
    d->calls++;
    d->kind = err ? err->kind : ERR_NONE;
}

static void invalidate(struct fixture *f, struct redis *r, const char *key) {
    struct done d = {0};
    redis_invalidate(r, &key, 1, false, 5000, on_done, &d);
    UNTIL(&f->l, 30000, d.calls == 1);
    assert_int_equal(d.kind, ERR_NONE);
}

/* --- the cache --- */

static void keeps_what_was_set(void **state) {
    struct fixture *f = *state;
    assert_string_equal(get(f, f->r, "a"), "(nothing)");
    set(f->r, "a", "{\"n\":1}", redis_now(f->r));
    assert_string_equal(get(f, f->r, "a"), "{\"n\":1}");
    set(f->r, "a", "two\nlines \"and a space\"", redis_now(f->r));
    assert_string_equal(get(f, f->r, "a"), "two\nlines \"and a space\"");
    assert_string_equal(get(f, f->r, "b"), "(nothing)");
    struct redis *other = open_at(f, f->s.url, "another");
    UNTIL(&f->l, 30000, redis_up(other));
    assert_string_equal(get(f, other, "a"), "(nothing)");
    redis_delete(other);
}

static void ends_at_its_time(void **state) {
    struct fixture *f = *state;
    redis_set(f->r, "a", "1", 1, 30, redis_now(f->r));
    set(f->r, "b", "2", redis_now(f->r));
    UNTIL(&f->l, 30000, !strcmp(get(f, f->r, "a"), "(nothing)"));
    assert_string_equal(get(f, f->r, "b"), "2");
}

/* What a reader read before the invalidation is not kept, whoever invalidates. */
static void an_old_reader_keeps_nothing(void **state) {
    struct fixture *f = *state;
    struct redis *other = open_at(f, f->s.url, "test");
    UNTIL(&f->l, 30000, redis_up(other));
    get(f, f->r, "a");
    get(f, f->r, "b"); /* has a stamp from now on; without one it would count as invalidated */
    struct redis_stamp before = *redis_now(f->r);
    invalidate(f, other, "a");
    set(f->r, "a", "old", &before);
    set(f->r, "b", "fine", &before);
    assert_string_equal(get(f, f->r, "a"), "(nothing)");
    assert_string_equal(get(f, f->r, "b"), "fine");
    set(f->r, "a", "new", redis_now(f->r)); /* it began after the last answer */
    assert_string_equal(get(f, other, "a"), "new");
    invalidate(f, f->r, "a");
    assert_string_equal(get(f, other, "a"), "(nothing)");
    redis_delete(other);
}

static void one_that_knows_nothing_keeps_nothing(void **state) {
    struct fixture *f = *state;
    const struct redis_stamp none = {"", 1000000}, other = {"another-era", 1000000};
    set(f->r, "a", "x", &none);
    set(f->r, "b", "x", &other);
    assert_string_equal(get(f, f->r, "a"), "(nothing)");
    assert_string_equal(get(f, f->r, "b"), "(nothing)");
}

/* Redis may throw away what it likes to make room: nothing old comes in by that. */
static void stamps_may_be_lost(void **state) {
    struct fixture *f = *state;
    struct redis_stamp before = *redis_now(f->r);
    invalidate(f, f->r, "a");
    assert_int_equal(redisserver_ask(&f->s, "DEL rbf:test:t:a"), 1);
    set(f->r, "a", "old", &before);
    assert_string_equal(get(f, f->r, "a"), "(nothing)");
    set(f->r, "a", "new", redis_now(f->r));
    assert_string_equal(get(f, f->r, "a"), "new");
    before = *redis_now(f->r);
    invalidate(f, f->r, "a");
    assert_int_equal(redisserver_ask(&f->s, "DEL rbf:test:seq"), 1);
    set(f->r, "a", "old", &before);
    assert_string_equal(get(f, f->r, "a"), "(nothing)");
    set(f->r, "a", "new", redis_now(f->r));
    assert_string_equal(get(f, f->r, "a"), "new");
}

static void many_keys_at_once(void **state) {
    enum { N = 1201 };
    struct fixture *f = *state;
    static char names[N][16];
    const char *keys[N];
    for (int i = 0; i < N; i++) {
        snprintf(names[i], sizeof names[i], "k%d", i);
        keys[i] = names[i];
        set(f->r, keys[i], "v", redis_now(f->r));
        if (i % 50 == 0) /* waits: more than it does in REDIS_ANSWER_MS is none of this test's */
            assert_string_equal(get(f, f->r, keys[i]), "v");
    }
    struct done d = {0};
    redis_invalidate(f->r, keys, N, false, 5000, on_done, &d);
    UNTIL(&f->l, 30000, d.calls == 1);
    assert_int_equal(d.kind, ERR_NONE);
    assert_string_equal(get(f, f->r, "k0"), "(nothing)");
    assert_string_equal(get(f, f->r, "k1200"), "(nothing)");
}

static void everything_at_once(void **state) {
    struct fixture *f = *state;
    set(f->r, "a", "1", redis_now(f->r));
    assert_string_equal(get(f, f->r, "a"), "1");
    struct redis_stamp before = *redis_now(f->r);
    struct done d = {0};
    redis_invalidate(f->r, NULL, 0, true, 5000, on_done, &d);
    UNTIL(&f->l, 30000, d.calls == 1);
    assert_string_equal(get(f, f->r, "a"), "(nothing)");
    set(f->r, "a", "old", &before);
    assert_string_equal(get(f, f->r, "a"), "(nothing)");
}

static void a_get_can_be_cancelled(void **state) {
    struct fixture *f = *state;
    struct got g = {0};
    redis_get_cancel(redis_get(f->r, "a", on_got, &g));
    assert_string_equal(get(f, f->r, "a"), "(nothing)"); /* answered behind it */
    assert_int_equal(g.calls, 0);
}

/* --- trouble --- */

static void a_killed_server_is_used_again(void **state) {
    struct fixture *f = *state;
    struct got g = {0};
    set(f->r, "a", "1", redis_now(f->r));
    assert_string_equal(get(f, f->r, "a"), "1");
    struct redis_stamp before = *redis_now(f->r);
    redisserver_signal(&f->s, SIGSTOP); /* so that the question is on its way */
    assert_non_null(redis_get(f->r, "a", on_got, &g));
    redisserver_kill(&f->s);
    UNTIL(&f->l, 30000, g.calls == 1);
    assert_false(g.answered);
    UNTIL(&f->l, 30000, !redis_up(f->r));
    assert_string_equal(get_once(f, f->r, "a"), "(away)");
    assert_string_equal(redis_now(f->r)->era, "");
    redisserver_up(&f->s);
    UNTIL(&f->l, 10000, redis_up(f->r));
    assert_int_equal(f->ups, 2);
    set(f->r, "a", "old", &before); /* a number of that server's says nothing here */
    assert_string_equal(get(f, f->r, "a"), "(nothing)");
    set(f->r, "a", "2", redis_now(f->r));
    assert_string_equal(get(f, f->r, "a"), "2");
}

/* epoll reports the reset together with what came before it; both are taken. */
static void last_words_are_taken(void **state) {
    enum { N = 60000 }; /* fits a socket, not one read */
    static char long_text[N + 1];
    struct fixture *f = *state;
    struct got g = {0}, lost = {0};
    memset(long_text, 'x', N);
    set(f->r, "a", long_text, redis_now(f->r));
    assert_string_not_equal(get(f, f->r, "a"), "(nothing)");
    assert_non_null(redis_get(f->r, "a", on_got, &g));
    uv_run(&f->l.loop, UV_RUN_ONCE);    /* it is sent */
    redisserver_ask(&f->s, "EXISTS a"); /* answered behind it */
    redisserver_signal(&f->s, SIGSTOP);
    assert_non_null(redis_get(f->r, "a", on_got, &lost));
    uv_run(&f->l.loop, UV_RUN_ONCE); /* sent, too, while most of the answer is not read */
    assert_int_equal(g.calls, 0);
    redisserver_kill(&f->s);
    UNTIL(&f->l, 30000, g.calls == 1 && lost.calls == 1);
    assert_true(g.answered);
    assert_false(lost.answered);
}

/* Values that a restart brings back (from a dump, say) may be older than their invalidation. */
static void what_a_restart_brings_back_is_not_there(void **state) {
    struct fixture *f = *state;
    set(f->r, "a", "1", redis_now(f->r));
    assert_string_equal(get(f, f->r, "a"), "1");
    redisserver_ask(&f->s, "SAVE");
    redisserver_kill(&f->s);
    redisserver_up(&f->s);
    assert_int_equal(redisserver_ask(&f->s, "EXISTS rbf:test:v:a"), 1);
    UNTIL(&f->l, 10000, f->ups == 2);
    assert_string_equal(get(f, f->r, "a"), "(nothing)");
}

/* A server that hangs costs one wait, not one each time; what was to be invalidated is told when
 * it goes on. */
static void a_hanging_server_is_away(void **state) {
    struct fixture *f = *state;
    struct got g = {0};
    struct done d = {0};
    const char *key = "a";
    set(f->r, "a", "1", redis_now(f->r));
    assert_string_equal(get(f, f->r, "a"), "1");
    redisserver_signal(&f->s, SIGSTOP);
    assert_non_null(redis_get(f->r, "a", on_got, &g));
    redis_invalidate(f->r, &key, 1, false, 60000, on_done, &d);
    UNTIL(&f->l, 30000, g.calls == 1);
    assert_false(g.answered);
    assert_string_equal(get_once(f, f->r, "a"), "(away)");
    assert_int_equal(d.calls, 0);
    redisserver_signal(&f->s, SIGCONT);
    UNTIL(&f->l, 10000, d.calls == 1);
    assert_int_equal(d.kind, ERR_NONE);
    UNTIL(&f->l, 10000, redis_up(f->r));
    assert_string_equal(get(f, f->r, "a"), "(nothing)");
}

/* When this process had no time, the answer is there all the same. */
static void a_busy_process_is_not_the_servers_fault(void **state) {
    struct fixture *f = *state;
    struct got g = {0};
    set(f->r, "a", "1", redis_now(f->r));
    assert_string_equal(get(f, f->r, "a"), "1");
    assert_non_null(redis_get(f->r, "a", on_got, &g));
    uv_run(&f->l.loop, UV_RUN_ONCE); /* it is sent */
    usleep((REDIS_ANSWER_MS + 100) * 1000);
    UNTIL(&f->l, 30000, g.calls == 1);
    assert_string_equal(g.text, "1");
    assert_int_equal(f->ups, 1);
}

/* Given up: somebody else will tell Redis later, but nothing older is read through this one. */
static void what_was_given_up_ends_the_era(void **state) {
    struct fixture *f = *state;
    struct done d = {0};
    const char *key = "a";
    set(f->r, "a", "1", redis_now(f->r));
    set(f->r, "b", "1", redis_now(f->r));
    assert_string_equal(get(f, f->r, "a"), "1");
    redisserver_signal(&f->s, SIGSTOP);
    assert_string_equal(get_once(f, f->r, "a"), "(no answer)");
    assert_false(redis_up(f->r));
    redis_invalidate(f->r, &key, 1, false, 1, on_done, &d);
    assert_int_equal(d.calls, 0); /* not from inside */
    UNTIL(&f->l, 30000, d.calls == 1);
    assert_int_equal(d.kind, ERR_TIMEOUT);
    redisserver_signal(&f->s, SIGCONT);
    UNTIL(&f->l, 10000, redis_up(f->r));
    assert_string_equal(get(f, f->r, "a"), "(nothing)");
    assert_string_equal(get(f, f->r, "b"), "(nothing)");
}

static void lost_scripts_are_loaded_again(void **state) {
    struct fixture *f = *state;
    set(f->r, "a", "1", redis_now(f->r));
    assert_string_equal(get(f, f->r, "a"), "1");
    redisserver_ask(&f->s, "SCRIPT FLUSH");
    assert_string_equal(get_once(f, f->r, "a"), "(no answer)");
    UNTIL(&f->l, 10000, f->ups == 2);
    assert_string_equal(get(f, f->r, "a"), "1");
}

static void a_full_server_still_invalidates(void **state) {
    struct fixture *f = *state;
    set(f->r, "a", "1", redis_now(f->r));
    assert_string_equal(get(f, f->r, "a"), "1");
    redisserver_ask(&f->s, "CONFIG SET maxmemory 1");
    set(f->r, "b", "1", redis_now(f->r));
    assert_string_equal(get(f, f->r, "b"), "(no answer)");
    invalidate(f, f->r, "a");
    redisserver_ask(&f->s, "CONFIG SET maxmemory 0");
    assert_string_equal(get(f, f->r, "a"), "(nothing)");
    assert_true(redis_up(f->r));
    assert_int_equal(f->ups, 1);
}

static void the_end_is_told(void **state) {
    struct fixture *f = *state;
    struct done held = {0}, sent = {0};
    struct got g = {0};
    const char *key = "a";
    struct redis *r = open_at(f, f->s.url, "test");
    redis_invalidate(r, &key, 1, false, 60000, on_done, &held); /* not connected yet */
    redis_delete(r);
    assert_int_equal(held.kind, ERR_SHUTDOWN);
    r = open_at(f, f->s.url, "test");
    UNTIL(&f->l, 30000, redis_up(r));
    redisserver_signal(&f->s, SIGSTOP);
    redis_invalidate(r, &key, 1, false, 60000, on_done, &sent);
    redis_get(r, "a", on_got, &g);
    redis_delete(r);
    redisserver_signal(&f->s, SIGCONT);
    assert_int_equal(sent.calls, 1);
    assert_int_equal(sent.kind, ERR_SHUTDOWN);
    assert_int_equal(g.calls, 1);
    assert_false(g.answered);
}

static void a_password_and_a_database(void **state) {
    struct fixture f = {0};
    char url[160];
    redisserver_start(&f.s, "p@ss/w:rd");
    testloop_init(&f.l);
    snprintf(url, sizeof url, "unix://:wrong@%s", f.s.path);
    struct redis *wrong = open_at(&f, url, "test");
    snprintf(url, sizeof url, "unix://:p%%40ss%%2Fw:rd@%s?db=3", f.s.path);
    struct redis *right = open_at(&f, url, "test");
    UNTIL(&f.l, 30000, redis_up(right));
    assert_false(redis_up(wrong));
    set(right, "a", "1", redis_now(right));
    assert_string_equal(get(&f, right, "a"), "1");
    assert_int_equal(redisserver_ask(&f.s, "EXISTS rbf:test:v:a"), 0);
    assert_int_equal(redisserver_ask(&f.s, "MOVE rbf:test:v:a 1"), 0); /* it is not in 0 */
    redis_delete(right);
    redis_delete(wrong);
    testloop_end(&f.l);
    redisserver_end(&f.s);
}

/* Over TCP, by a name; and nobody listens at first. */
static void over_tcp(void **state) {
    struct fixture f = {0};
    char url[80];
    redisserver_start(&f.s, "");
    redisserver_kill(&f.s);
    int port = redisserver_free_port();
    snprintf(f.s.port, sizeof f.s.port, "%d", port);
    snprintf(url, sizeof url, "redis://localhost:%d/1", port);
    testloop_init(&f.l);
    struct redis *r = open_at(&f, url, "test"), *nowhere;
    nowhere = open_at(&f, "redis://no-such-host.invalid", "test");
    for (uint64_t end = clock_mono_ms() + 200; clock_mono_ms() < end;) /* some refusals */
        uv_run(&f.l.loop, UV_RUN_ONCE);
    assert_false(redis_up(r));
    redisserver_up(&f.s);
    UNTIL(&f.l, 10000, redis_up(r));
    set(r, "a", "1", redis_now(r));
    assert_string_equal(get(&f, r, "a"), "1");
    redisserver_kill(&f.s);
    UNTIL(&f.l, 10000, !redis_up(r));
    redis_delete(r);
    redis_delete(nowhere);
    testloop_end(&f.l);
    redisserver_end(&f.s);
}

/* --- URLs --- */

static void urls(void **state) {
    struct redis_url u;
    struct err err;
    assert_int_equal(redis_url_parse("redis://example.com", &u, &err), 0);
    assert_string_equal(u.host, "example.com");
    assert_string_equal(u.port, "6379");
    assert_null(u.user);
    assert_null(u.password);
    redis_url_free(&u);
    assert_int_equal(redis_url_parse("redis://me:p%40ss@[::1]:7000/12", &u, &err), 0);
    assert_string_equal(u.host, "::1");
    assert_string_equal(u.port, "7000");
    assert_string_equal(u.user, "me");
    assert_string_equal(u.password, "p@ss");
    assert_int_equal(u.db, 12);
    assert_string_equal(u.shown, "redis://me:***@[::1]:7000/12");
    redis_url_free(&u);
    assert_int_equal(redis_url_parse("redis://:secret@h:1", &u, &err), 0);
    assert_null(u.user);
    assert_string_equal(u.password, "secret");
    redis_url_free(&u);
    assert_int_equal(redis_url_parse("unix:///run/redis.sock?db=2", &u, &err), 0);
    assert_string_equal(u.path, "/run/redis.sock");
    assert_int_equal(u.db, 2);
    redis_url_free(&u);
}

static void bad_urls(void **state) {
    static const char *const all[] = {
        "",
        "redis://",
        "redis://host:0",
        "redis://host:70000",
        "redis://host:12x",
        "redis://host/x",
        "redis://host/1/2",
        "redis://[::1",
        "redis://[::1]x",
        "redis://lonely@host",
        "redis://me:@host",
        "redis://:secret%4@host",
        "redis://:secret%00@host",
        "redis://:secret%zz@host",
        "rediss://:secret@host",
        "unix://relative",
        "unix:///a?db=",
        "unix:///a?x=1",
        "http://:secret@host",
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        struct redis_url u;
        struct err err;
        if (redis_url_parse(all[i], &u, &err) != -1)
            fail_msg("'%s' was taken", all[i]);
        assert_null(strstr(err.msg, "secret"));
        assert_non_null(strstr(err.msg, "expected redis://"));
    }
}

int main(void) {
    log_set_level(LOG_ERROR);
#define WITH_SERVER(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(urls),
        cmocka_unit_test(bad_urls),
        WITH_SERVER(keeps_what_was_set),
        WITH_SERVER(ends_at_its_time),
        WITH_SERVER(an_old_reader_keeps_nothing),
        WITH_SERVER(one_that_knows_nothing_keeps_nothing),
        WITH_SERVER(stamps_may_be_lost),
        WITH_SERVER(many_keys_at_once),
        WITH_SERVER(everything_at_once),
        WITH_SERVER(a_get_can_be_cancelled),
        WITH_SERVER(a_killed_server_is_used_again),
        WITH_SERVER(last_words_are_taken),
        WITH_SERVER(what_a_restart_brings_back_is_not_there),
        WITH_SERVER(a_hanging_server_is_away),
        WITH_SERVER(a_busy_process_is_not_the_servers_fault),
        WITH_SERVER(what_was_given_up_ends_the_era),
        WITH_SERVER(lost_scripts_are_loaded_again),
        WITH_SERVER(a_full_server_still_invalidates),
        WITH_SERVER(the_end_is_told),
        cmocka_unit_test(a_password_and_a_database),
        cmocka_unit_test(over_tcp),
    };
    return cmocka_run_group_tests_name("redis", tests, NULL, NULL);
}
