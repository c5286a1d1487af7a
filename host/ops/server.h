/* SPDX-License-Identifier: MIT */
/* server - one embedded server: how it is launched, known to be ready, restarted and stopped.
 * server_pg.c and server_nats.c say how theirs is. Main thread only. */
#ifndef RBF_SERVER_H
#define RBF_SERVER_H
#include "ops/statedir.h"
#include <stdbool.h>
#include <stdint.h>

struct server {
    const char *name;           /* "PostgreSQL": for messages */
    const char *log;            /* name of the log file in home */
    const char *fatal;          /* what marks the line that says why it ended */
    const struct statedir *dir; /* borrowed */
    char *exe, *data;           /* program; its folder, also its working folder */
    char *conf;                 /* NATS: its configuration file */
    char *url;                  /* set when it is ready the first time; then stable */
    char token[33];             /* NATS */
    int port;                   /* NATS: 0 until it chose one, then kept for restarts */
    int start_ms;               /* longest wait for ready */
    int stop_signal, stop_ms;
    pid_t pid; /* 0: not running */
    uint64_t launched_ms, restart_at_ms;
    unsigned pause_ms;
    /* Builds argv (caller frees the strings and the array). Does not block. */
    char **(*command)(const struct server *s);
    /* Does it answer? Sets url the first time. Does not block. */
    bool (*ready)(struct server *s);
};

/* Finds the program and prepares the data folder (blocking: initdb). On failure nothing is held but
 * what server_free() frees. */
int server_pg_init(struct server *s, const struct statedir *dir, struct err *err) NODISCARD;
int server_nats_init(struct server *s, const struct statedir *dir, struct err *err) NODISCARD;

/* Launches and waits until it is ready; -1 with err: why it ended, from its log. */
int server_start(struct server *s, struct err *err) NODISCARD;
/* Restarts it when it has died: at once, then after 100 ms doubling to 5 s. Does not block. */
void server_tick(struct server *s);
void server_stop(struct server *s);
void server_free(struct server *s); /* not running */

/* A program by name: in the folders of PATH, then in more (NULL-terminated). NULL: nowhere. */
char *server_find(const char *program, const char *const *more);
/* Runs a preparing program to its end as the servers' user, output into its log. */
int server_prepare(const struct server *s, const char *const *argv, struct err *err) NODISCARD;
#endif
