/* SPDX-License-Identifier: MIT */
/* supervisor - the parent of the workers: starts N of them, restarts the dead, hands all of them
 * the same bytes of the app, swaps generations in every worker or in none, and drains at the end.
 * No Lua, no NATS, no PostgreSQL. Main thread only; blocks until the host stops.
 *
 * Signals while it runs: SIGTERM or SIGINT drains, a second one kills the workers and returns at
 * once; SIGHUP reloads once (or drains, when our terminal was closed); SIGCHLD is its own. A worker
 * is `argv` with CTL_FD (wire/ctl.h), stdin /dev/null, its own process group, and SIGTERM when we
 * die. */
#ifndef RBF_SUPERVISOR_H
#define RBF_SUPERVISOR_H
#include "base/err.h"
#include <stdbool.h>
#include <stdint.h>

struct gate_options;
struct services;

struct supervisor_options {
    const char *app_dir;
    int workers;              /* at least 1 */
    const char *worker_exe;   /* NULL: /proc/self/exe */
    char *const *worker_argv; /* with argv[0], NULL at the end: {"rbf", "worker", "--log-level", …}.
                               * Secrets go by the environment, which workers inherit. */
    int64_t shutdown_timeout_ms;
    bool watch;                      /* reload when files below app_dir change */
    bool patient;                    /* a refused first generation waits for the next save (dev) */
    const struct gate_options *gate; /* specs before each further generation; NULL: none */
    struct services *services; /* watched over (services_tick); NULL: none. Not stopped here. */
    /* All workers serve a generation; first: since the start. describe is what a worker said of it
     * (gen_describe), borrowed. May be NULL. */
    void (*on_live)(bool first, const char *describe, void *arg);
    /* A generation was refused or could not be read: the old one serves on. It is logged already.
     * May be NULL. */
    void (*on_reload_failed)(const char *message, void *arg);
    void *arg;
};

/* The exit code: 0 after a drain (also when the timeout had to end a worker), 1 when the first
 * generation is refused (unless patient) or a worker cannot start, both logged; 130 after a second
 * signal. */
int supervisor_run(const struct supervisor_options *o);
#endif
