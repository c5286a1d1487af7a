/* SPDX-License-Identifier: MIT */
/* services - the private PostgreSQL and nats-server of `rbf dev`, `rbf demo` and the tests: started
 * as children, ended with us, their data kept in a state folder.
 *
 * state_dir holds lock, dev.json and, where the servers' user can reach it and a socket path fits,
 * their data, each app's apart; else the data is in /var/tmp/rbf-<uid>-<hash of state_dir>/.
 * PostgreSQL listens on a unix socket in a 0700 folder only; NATS on 127.0.0.1, a port of its own
 * choice, behind a token. Run as root, the servers run as postgres (else nobody). Main thread only:
 * children die with the thread that started them. Blocking, except services_tick(). */
#ifndef RBF_SERVICES_H
#define RBF_SERVICES_H
#include "base/err.h"

struct services;

struct services_options {
    const char *state_dir;      /* NULL: ".rbf" in the current folder; created if missing */
    const char *app_dir;        /* whose data it is; goes into dev.json; NULL: "" */
    const char *namespace_;     /* only goes into dev.json; NULL: "default" */
    const char *subject_prefix; /* likewise; NULL: "" */
    bool postgres_only;         /* no NATS, and nobody finds us (dev.json) */
    bool throwaway;             /* services_stop() removes state_dir and all data */
};

/* Takes the folder over from a run that crashed (ends servers it left behind), starts both servers
 * and returns when they answer; then dev.json is written (0600, by rename). NULL with err: no
 * binary, a live run in the same folder (names its pid), or the last lines of a server's log. */
struct services *services_start(const struct services_options *o, struct err *err) NODISCARD;
/* Stable until services_stop(), also when a server was restarted. Borrowed. */
const char *services_database_url(const struct services *s);
const char *services_nats_url(const struct services *s); /* holds the token */
const char *services_home(const struct services *s);     /* where the servers' data and logs are */
/* Does not block: starts a server that died again, on the same port, with a log line and a growing
 * pause. The supervisor calls it when it has the services in its options. */
void services_tick(struct services *s);
/* NATS, then PostgreSQL, each with a bounded wait and then SIGKILL; removes dev.json; frees s.
 * NULL is allowed. */
void services_stop(struct services *s);

/* What a running `rbf dev` wrote: for rbf job:trigger. */
struct services_dev {
    int pid;
    char *database_url, *nats_url, *app_dir, *namespace_, *subject_prefix;
};
/* Reads state_dir (NULL: ".rbf")/dev.json. 0; or -1 with err when nothing runs there (a file that a
 * crashed run left counts as nothing). */
int services_find(const char *state_dir, struct services_dev *out, struct err *err) NODISCARD;
void services_dev_free(struct services_dev *d);
#endif
