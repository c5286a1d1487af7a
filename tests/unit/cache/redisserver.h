/* SPDX-License-Identifier: MIT */
/* A private redis-server for a test program, on a socket in a folder of its own; and a loop that
 * runs until something is true. A missing binary ends the program loudly. */
#ifndef RBF_TEST_REDISSERVER_H
#define RBF_TEST_REDISSERVER_H
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the above first */
#include "base/clock.h"
#include "cache/redis.h"
#include <cmocka.h>
#include <hiredis/hiredis.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

struct redisserver {
    char dir[64], path[80], url[120], port[8]; /* port: of TCP, too, unless it is 0 */
    const char *password;
    pid_t pid;
};

static inline void redisserver_exec(struct redisserver *s) {
    char log[96];
    snprintf(log, sizeof log, "%s/log", s->dir);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    execlp("redis-server", "redis-server", "--port", s->port, "--bind", "127.0.0.1", "--unixsocket",
           s->path, "--save", "", "--appendonly", "no", "--daemonize", "no", "--dir", s->dir,
           "--logfile", log, "--requirepass", s->password, NULL);
    _exit(127);
}

static inline redisContext *redisserver_connect(const struct redisserver *s) {
    redisContext *c = redisConnectUnix(s->path);
    if (c && !c->err && s->password[0])
        freeReplyObject(redisCommand(c, "AUTH %s", s->password));
    redisReply *r = c && !c->err ? redisCommand(c, "PING") : NULL;
    if (!r && c) {
        redisFree(c);
        c = NULL;
    }
    freeReplyObject(r);
    return c;
}

static inline void redisserver_up(struct redisserver *s) {
    unlink(s->path);
    s->pid = fork();
    if (s->pid == 0)
        redisserver_exec(s);
    redisContext *c = NULL;
    for (int i = 0; i < 1000 && !(c = redisserver_connect(s)); i++)
        usleep(10000);
    if (!c) {
        fprintf(stderr, "redis-server did not start (apt-get install redis-server), see %s/log\n",
                s->dir);
        exit(1);
    }
    redisFree(c);
}

static inline void redisserver_start(struct redisserver *s, const char *password) {
    memset(s, 0, sizeof *s);
    s->password = password;
    strcpy(s->port, "0");
    strcpy(s->dir, "/tmp/rbf-redis-XXXXXX");
    if (!mkdtemp(s->dir))
        exit(1);
    snprintf(s->path, sizeof s->path, "%s/socket", s->dir);
    snprintf(s->url, sizeof s->url, "unix://%s", s->path);
    redisserver_up(s);
}

/* A port that nobody has right now. */
static inline int redisserver_free_port(void) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&at, n) ||
        getsockname(fd, (struct sockaddr *)&at, &n))
        exit(1);
    close(fd);
    return ntohs(at.sin_port);
}

static inline void redisserver_signal(struct redisserver *s, int number) {
    kill(s->pid, number);
}

static inline void redisserver_kill(struct redisserver *s) {
    if (s->pid > 0) {
        kill(s->pid, SIGKILL);
        waitpid(s->pid, NULL, 0);
    }
    s->pid = 0;
}

static inline void redisserver_end(struct redisserver *s) {
    redisserver_kill(s);
    char cmd[96];
    snprintf(cmd, sizeof cmd, "rm -rf '%s'", s->dir);
    if (strncmp(s->dir, "/tmp/rbf-redis-", 15) == 0 && system(cmd) != 0)
        fprintf(stderr, "could not remove %s\n", s->dir);
}

/* One command, without the code under test: an integer, or whether there is an answer. */
static inline long long redisserver_ask(struct redisserver *s, const char *format, ...) {
    redisContext *c = redisserver_connect(s);
    va_list ap;
    va_start(ap, format);
    redisReply *r = redisvCommand(c, format, ap);
    va_end(ap);
    if (!r || r->type == REDIS_REPLY_ERROR)
        fail_msg("%s: %s", format, r ? r->str : "no answer");
    long long n = r->type == REDIS_REPLY_INTEGER ? r->integer : r->type != REDIS_REPLY_NIL;
    freeReplyObject(r);
    redisFree(c);
    return n;
}

/* The loop, with a beat so that conditions are looked at. */
struct testloop {
    uv_loop_t loop;
    uv_timer_t beat;
};

static inline void testloop_on_beat(uv_timer_t *t) {}

static inline void testloop_init(struct testloop *l) {
    uv_loop_init(&l->loop);
    uv_timer_init(&l->loop, &l->beat);
    uv_timer_start(&l->beat, testloop_on_beat, 5, 5);
}

/* Patient: a name that is being looked up cannot be given up. */
static inline void testloop_end(struct testloop *l) {
    uv_close((uv_handle_t *)&l->beat, NULL);
    for (int i = 0; i < 30000 && uv_run(&l->loop, UV_RUN_NOWAIT); i++)
        usleep(1000);
    if (uv_loop_close(&l->loop) != 0)
        fail_msg("the test left handles open (it failed, or leaks them)");
}

#define UNTIL(l, ms, cond)                                                                         \
    do {                                                                                           \
        uint64_t end_ = clock_mono_ms() + (ms);                                                    \
        while (!(cond) && clock_mono_ms() < end_)                                                  \
            uv_run(&(l)->loop, UV_RUN_ONCE);                                                       \
        if (!(cond))                                                                               \
            fail_msg("not within %d ms: %s", (int)(ms), #cond);                                    \
    } while (0)
#endif
