/* SPDX-License-Identifier: MIT */
#include "base/failpoint.h"
#include "base/buf.h"
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MAX_POINTS 64

struct point {
    char name[48];
    enum { ACT_KILL, ACT_STOP, ACT_DELAY, ACT_ERROR } act;
    unsigned delay_ms;
    unsigned only;      /* the N-th time; 0: any */
    double probability; /* 1: always */
    unsigned hits;
};

static struct point points[MAX_POINTS];
static int n_points = -1; /* the environment was not read yet */
static unsigned seed;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void malformed(const char *text) {
    fprintf(stderr, "RBF_FAILPOINT: expected name:kill|stop|error|delay=MS[#N][@P], found '%s'\n",
            text);
    _exit(2);
}

static void read_act(struct point *p, char *act, const char *whole) {
    char *rest = act + strcspn(act, "#@");
    char mark = *rest;
    *rest++ = 0;
    p->probability = 1;
    if (mark == '#')
        p->only = (unsigned)atoi(rest);
    else if (mark == '@')
        p->probability = atof(rest);
    if (!strcmp(act, "kill"))
        p->act = ACT_KILL;
    else if (!strcmp(act, "stop"))
        p->act = ACT_STOP;
    else if (!strcmp(act, "error"))
        p->act = ACT_ERROR;
    else if (sscanf(act, "delay=%u", &p->delay_ms) == 1)
        p->act = ACT_DELAY;
    else
        malformed(whole);
}

static void read_point(char *text) {
    char *whole = xstrdup(text), *colon = strchr(text, ':');
    struct point *p = &points[n_points];
    if (!colon || n_points == MAX_POINTS || colon - text >= (long)sizeof p->name)
        malformed(whole);
    *colon = 0;
    memset(p, 0, sizeof *p);
    snprintf(p->name, sizeof p->name, "%s", text);
    read_act(p, colon + 1, whole);
    n_points++;
    free(whole);
}

static void read_environment(void) {
    const char *spec = getenv("RBF_FAILPOINT"), *number = getenv("RBF_FAILPOINT_SEED");
    char *copy = xstrdup(spec ? spec : ""), *save = NULL;
    n_points = 0;
    seed = number ? (unsigned)atoi(number) : (unsigned)getpid();
    for (char *t = strtok_r(copy, ",", &save); t; t = strtok_r(NULL, ",", &save))
        read_point(t);
    free(copy);
}

static void note(const struct point *p) {
    static const char *const acts[] = {"kill", "stop", "delay", "error"};
    const char *path = getenv("RBF_FAILPOINT_LOG");
    char line[80];
    int n = snprintf(line, sizeof line, "%s %s\n", p->name, acts[p->act]);
    int fd = path ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666) : -1;
    if (fd < 0)
        return;
    (void)!write(fd, line, (size_t)n);
    close(fd);
}

/* One that is to act now; NULL when none is. */
static struct point *due(const char *name) {
    struct point *found = NULL;
    for (int i = 0; i < n_points; i++) {
        struct point *p = &points[i];
        if (strcmp(p->name, name) || (p->only && ++p->hits != p->only))
            continue;
        if (p->probability >= 1 || rand_r(&seed) < p->probability * RAND_MAX)
            found = p;
    }
    return found;
}

static bool act(const struct point *p) {
    struct timespec t = {p->delay_ms / 1000, p->delay_ms % 1000 * 1000000L};
    note(p);
    if (p->act == ACT_KILL)
        kill(getpid(), SIGKILL);
    else if (p->act == ACT_STOP)
        kill(getpid(), SIGSTOP);
    else if (p->act == ACT_DELAY)
        nanosleep(&t, NULL);
    return p->act == ACT_ERROR;
}

bool failpoint_hit(const char *name) {
    pthread_mutex_lock(&lock);
    if (n_points < 0)
        read_environment();
    const struct point *p = n_points ? due(name) : NULL;
    pthread_mutex_unlock(&lock);
    return p && act(p);
}

void failpoint_reset(void) {
    n_points = -1;
}
