/* SPDX-License-Identifier: MIT */
#include "base/configval.h"
#include "base/jsonval.h"
#include "cli/cli.h"
#include "ops/gate.h"
#include "ops/services.h"
#include "ops/supervisor.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GATE_MS 60000

struct dev {
    const struct cli *c;
    struct services *services;
    struct gate_options gate;
};

static const char *text(const json_t *o, const char *key) {
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "";
}

static void print_operations(const json_t *operations) {
    size_t i;
    json_t *op;
    json_array_foreach(operations, i, op) {
        char *path = xasprintf("%s.%s", text(op, "subject"), text(op, "path"));
        printf("  %-9s %-32s %s\n", text(op, "type"), path, text(op, "file"));
        free(path);
    }
}

/* The first operation that gives an example, else the first mutation. */
static const json_t *to_try(const json_t *operations) {
    const json_t *mutation = NULL;
    size_t i;
    json_t *op;
    json_array_foreach(operations, i, op) {
        if (json_is_string(json_object_get(op, "example")))
            return op;
        if (!mutation && !strcmp(text(op, "type"), "mutation") && !strchr(text(op, "path"), '$'))
            mutation = op;
    }
    return mutation;
}

static void print_try(const json_t *operations) {
    const json_t *op = to_try(operations);
    if (!op)
        return;
    const char *example = text(op, "example"), *quote = *example ? "'" : "";
    printf("\n  Try, in another terminal:\n    %s call %s.%s %s%s%s\n", cli_self(),
           text(op, "subject"), text(op, "path"), quote, example, quote);
}

static void on_live(bool first, const char *describe, void *arg) {
    struct dev *d = arg;
    if (!first)
        return;
    json_t *v = jsonval_read(describe, strlen(describe), NULL);
    const json_t *operations = json_object_get(v, "operations");
    printf("\n  %s serves, as code version %s:\n\n", d->c->cfg.app_dir, text(v, "version"));
    print_operations(operations);
    printf("\n  PostgreSQL  %s\n  NATS        %s\n", services_database_url(d->services),
           services_nats_url(d->services));
    print_try(operations);
    printf("\n  Edit a file below %s and save it: the next request runs the new code.\n"
           "  Ctrl-C stops.\n\n",
           d->c->cfg.app_dir);
    fflush(stdout);
    json_decref(v);
}

/* --gate: the words of the command that runs the specs. */
static void set_gate(struct dev *d, char **words, int64_t timeout_ms) {
    const struct config *cfg = &d->c->cfg;
    const char *state = cfg->state_dir ? cfg->state_dir : ".rbf";
    int n = 0;
    words[n++] = xstrdup("rbf");
    words[n++] = xstrdup("test");
    words[n++] = xasprintf("--app=%s", cfg->app_dir);
    words[n++] = xasprintf("--state-dir=%s", state);
    words[n++] = xasprintf("--output=%s/lua/rbf/testing/brief.lua", d->c->share);
    words[n] = NULL;
    d->gate = (struct gate_options){
        .argv = words, .depends = xasprintf("%s/gate.depends", state), .timeout_ms = timeout_ms};
}

static void free_gate(struct dev *d, char **words) {
    for (int i = 0; words[i]; i++)
        free(words[i]);
    free((char *)d->gate.depends);
}

static int gate_timeout(const struct cli *c, int64_t *ms, struct err *err) {
    struct configval v = {.type = CONFIGVAL_DURATION, .min = 100, .max = 3600000};
    const char *value = cli_flag(c, "--gate-timeout");
    *ms = GATE_MS;
    if (!value)
        return 0;
    if (configval_read(&v, "--gate-timeout", value, err))
        return -1;
    *ms = v.number;
    return 0;
}

static int serve(struct dev *d) {
    struct config *cfg = (struct config *)&d->c->cfg;
    char *const worker[] = {"rbf", "worker", NULL};
    struct err err;
    cli_private_nats(cfg);
    if (cli_migrate(d->c, services_database_url(d->services), NULL, &err) ||
        config_set(cfg, "databaseUrl", services_database_url(d->services), CONFIG_FLAG, &err) ||
        config_set(cfg, "natsUrl", services_nats_url(d->services), CONFIG_FLAG, &err))
        return cli_fail("%s", err.msg);
    config_export(cfg);
    struct supervisor_options o = {
        .app_dir = cfg->app_dir,
        .workers = (int)cfg->workers,
        .worker_argv = worker,
        .shutdown_timeout_ms = cfg->shutdown_timeout_ms + 1000, /* workers say what is left */
        .watch = true,
        .patient = true,
        .gate = d->gate.argv ? &d->gate : NULL,
        .services = d->services,
        .on_live = on_live,
        .arg = d,
    };
    return supervisor_run(&o);
}

int cmd_dev(struct cli *c) {
    struct err err;
    struct dev d = {.c = c};
    char *words[6] = {0};
    int64_t gate_ms;
    if (cli_app_dir(c))
        return 1;
    if (gate_timeout(c, &gate_ms, &err))
        return cli_fail("%s", err.msg);
    struct services_options so = {
        .state_dir = c->cfg.state_dir,
        .app_dir = c->cfg.app_dir,
        .namespace_ = c->cfg.namespace_,
        .subject_prefix = c->cfg.subject_prefix,
    };
    d.services = services_start(&so, &err);
    if (!d.services)
        return cli_fail("%s", err.msg);
    if (cli_flag(c, "--gate") || cli_flag(c, "--gate-timeout"))
        set_gate(&d, words, gate_ms);
    int code = serve(&d);
    services_stop(d.services);
    free_gate(&d, words);
    return code;
}
