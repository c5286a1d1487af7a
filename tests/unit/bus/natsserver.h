/* SPDX-License-Identifier: MIT */
/* A private nats-server for a test program, started, killed and started again on the same port; and
 * a loop that runs until something is true. A missing binary ends the program loudly. */
#ifndef RBF_TEST_NATSSERVER_H
#define RBF_TEST_NATSSERVER_H
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the above first */
#include "base/clock.h"
#include "bus/stream.h"
#include <cmocka.h>
#include <dirent.h>
#include <jansson.h>
#include <nats/nats.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

struct natsserver {
    char dir[64], conf[72], url[64], port[16];
    const char *extra[12]; /* further arguments, NULL ends them */
    pid_t pid;
};

static inline const char *natsserver_binary(void) {
    static const char *const at[] = {"/usr/sbin/nats-server", "/usr/bin/nats-server",
                                     "/usr/local/bin/nats-server"};
    for (size_t i = 0; i < 3; i++)
        if (access(at[i], X_OK) == 0)
            return at[i];
    fprintf(stderr, "nats-server is missing: apt-get install nats-server\n");
    exit(1);
}

static inline void natsserver_exec(struct natsserver *s) {
    const char *argv[32] = {
        natsserver_binary(), "-a",  "127.0.0.1", "-p", s->port[0] ? s->port : "-1",
        "--ports_file_dir",  s->dir};
    int n = 7;
    char log[96];
    snprintf(log, sizeof log, "%s/log", s->dir);
    argv[n++] = "-l";
    argv[n++] = log;
    for (int i = 0; s->extra[i]; i++)
        argv[n++] = s->extra[i];
    argv[n] = NULL;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    execv(argv[0], (char **)argv);
    _exit(127);
}

static inline bool natsserver_read_ports(struct natsserver *s) {
    char path[128];
    snprintf(path, sizeof path, "%s/nats-server_%d.ports", s->dir, s->pid);
    json_t *v = json_load_file(path, 0, NULL);
    const char *url = json_string_value(json_array_get(json_object_get(v, "nats"), 0));
    if (url) {
        snprintf(s->url, sizeof s->url, "%s", url);
        snprintf(s->port, sizeof s->port, "%s", strrchr(url, ':') + 1);
    }
    json_decref(v);
    return url != NULL;
}

/* Does not wait until it answers. */
static inline void natsserver_spawn(struct natsserver *s) {
    s->pid = fork();
    if (s->pid == 0)
        natsserver_exec(s);
}

static inline void natsserver_up(struct natsserver *s) {
    natsserver_spawn(s);
    for (int i = 0; i < 1000 && !natsserver_read_ports(s); i++)
        usleep(10000);
    if (!s->url[0] || waitpid(s->pid, NULL, WNOHANG) != 0) {
        fprintf(stderr, "nats-server did not start, see %s/log\n", s->dir);
        exit(1);
    }
}

static inline void natsserver_prepare(struct natsserver *s, bool js) {
    memset(s, 0, sizeof *s);
    strcpy(s->dir, "/tmp/rbf-bus-XXXXXX");
    if (!mkdtemp(s->dir))
        exit(1);
    if (js) {
        s->extra[0] = "-js";
        s->extra[1] = "-sd";
        s->extra[2] = s->dir;
    }
}

/* js: with JetStream; token: may be NULL, and is with JetStream. */
static inline void natsserver_start(struct natsserver *s, bool js, const char *token) {
    static char auth[64];
    natsserver_prepare(s, js);
    if (token) {
        snprintf(auth, sizeof auth, "--auth=%s", token);
        s->extra[0] = auth;
    }
    natsserver_up(s);
}

/* With JetStream; everybody is a user with these permissions, in the server's notation. */
static inline void natsserver_start_limited(struct natsserver *s, const char *permissions) {
    natsserver_prepare(s, true);
    snprintf(s->conf, sizeof s->conf, "%s/conf", s->dir);
    FILE *f = fopen(s->conf, "w");
    fprintf(f, "authorization { users: [ {user: u, password: p, permissions: {%s}} ] }\n",
            permissions);
    fprintf(f, "no_auth_user: u\n");
    fclose(f);
    s->extra[3] = "-c";
    s->extra[4] = s->conf;
    natsserver_up(s);
}

static inline void natsserver_kill(struct natsserver *s) {
    if (s->pid > 0) {
        kill(s->pid, SIGKILL);
        waitpid(s->pid, NULL, 0);
    }
    s->pid = 0;
}

static inline void natsserver_end(struct natsserver *s) {
    natsserver_kill(s);
    char cmd[96];
    snprintf(cmd, sizeof cmd, "rm -rf '%s'", s->dir);
    if (strncmp(s->dir, "/tmp/rbf-bus-", 13) == 0 && system(cmd) != 0)
        fprintf(stderr, "could not remove %s\n", s->dir);
}

/* The loop: a 5 ms beat measures the longest time nothing else could run. A thread that only sleeps
 * measures what of such times is the machine's own. */
struct testloop {
    uv_loop_t loop;
    uv_timer_t beat;
    uint64_t last_ms, gap_ms;
    pthread_t idler;
    atomic_bool ended;
    atomic_ullong noise_ms;
};

static inline void *testloop_idle(void *arg) {
    struct testloop *l = arg;
    uint64_t before = clock_mono_ms();
    while (!atomic_load(&l->ended)) {
        usleep(5000);
        uint64_t now = clock_mono_ms();
        if (now - before > atomic_load(&l->noise_ms))
            atomic_store(&l->noise_ms, now - before);
        before = now;
    }
    return NULL;
}

/* Three times: a loop has more to do than to sleep, and each step can be put off. */
static inline bool testloop_ran_on(struct testloop *l, uint64_t ms) {
    return l->gap_ms < ms + 3 * (uint64_t)atomic_load(&l->noise_ms);
}

static inline void testloop_on_beat(uv_timer_t *t) {
    struct testloop *l = t->data;
    uint64_t now = clock_mono_ms();
    if (now - l->last_ms > l->gap_ms)
        l->gap_ms = now - l->last_ms;
    l->last_ms = now;
}

static inline void testloop_init(struct testloop *l) {
    memset(l, 0, sizeof *l);
    uv_loop_init(&l->loop);
    uv_timer_init(&l->loop, &l->beat);
    l->beat.data = l;
    l->last_ms = clock_mono_ms();
    uv_timer_start(&l->beat, testloop_on_beat, 5, 5);
    pthread_create(&l->idler, NULL, testloop_idle, l);
}

/* Forgets the gap so far: what is between two waits is the test's own time. */
static inline void testloop_restart(struct testloop *l) {
    l->last_ms = clock_mono_ms();
    l->gap_ms = 0;
    atomic_store(&l->noise_ms, 0);
}

static inline void testloop_end(struct testloop *l) {
    atomic_store(&l->ended, true);
    pthread_join(l->idler, NULL);
    uv_close((uv_handle_t *)&l->beat, NULL);
    for (int i = 0; i < 100 && uv_run(&l->loop, UV_RUN_NOWAIT); i++)
        usleep(1000);
    if (uv_loop_close(&l->loop) != 0) /* the next test's loop begins afresh all the same */
        fail_msg("the test left handles open (it failed, or leaks them)");
}

#define UNTIL(l, ms, cond)                                                                         \
    do {                                                                                           \
        uint64_t end_ = clock_mono_ms() + (ms);                                                    \
        (l)->last_ms = clock_mono_ms();                                                            \
        while (!(cond) && clock_mono_ms() < end_)                                                  \
            uv_run(&(l)->loop, UV_RUN_ONCE);                                                       \
        if (!(cond))                                                                               \
            fail_msg("not within %d ms: %s", (int)(ms), #cond);                                    \
    } while (0)

static inline struct bus *connect_to(struct natsserver *s, struct testloop *l) {
    struct err err = {0};
    struct bus_options o = {.url = s->url, .name = "test", .connect_timeout_ms = 20000};
    struct bus *b = bus_new(&l->loop, &o, &err);
    if (!b)
        fail_msg("%s", err.msg);
    return b;
}

/* What a connection told of itself; who wants `closed` counts it. */
struct changes {
    int up, down, closed;
};

static inline void on_change(bool up, void *arg) {
    struct changes *c = arg;
    c->up += up;
    c->down += !up;
}

/* Remembers one answer. */
struct got {
    int calls;
    enum err_kind kind;
    char text[1024];
    bool duplicate;
};

static inline void on_got(const struct bus_msg *m, const struct err *err, void *arg) {
    struct got *g = arg;
    g->calls++;
    g->kind = err ? err->kind : ERR_NONE;
    if (err)
        snprintf(g->text, sizeof g->text, "%s", err->msg);
    else
        snprintf(g->text, sizeof g->text, "%.*s", (int)m->len, m->data);
}

static inline void on_got_puback(const struct err *err, bool duplicate, void *arg) {
    struct got *g = arg;
    g->calls++;
    g->duplicate = duplicate;
    g->kind = err ? err->kind : ERR_NONE;
    snprintf(g->text, sizeof g->text, "%s", err ? err->msg : "");
}

static inline void on_got_stream(const struct err *err, void *arg) {
    on_got_puback(err, false, arg);
}
#endif
