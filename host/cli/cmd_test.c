/* SPDX-License-Identifier: MIT */
/* rbf test - an app's specs, by busted, inside the host. */
#define _GNU_SOURCE
#include "base/log.h"
#include "base/tree.h"
#include "cli/cli.h"
#include "core/specs.h"
#include "ops/services.h"
#include "ops/statedir.h"
#include "pg/pgsync.h"
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct test {
    struct cli *c;
    struct specs specs;
    struct services *services; /* NULL: DATABASE_URL names a server */
    char *state_dir;
    char *template, *shared, *fresh; /* names of databases; NULL: not made yet */
    char *url;
};

/* --- databases: nothing is started before a spec wants one --- */

/* libpq takes the last of two dbnames. */
static char *url_of(const char *server, const char *database) {
    if (strstr(server, "://"))
        return xasprintf("%s%cdbname=%s", server, strchr(server, '?') ? '&' : '?', database);
    return xasprintf("%s dbname=%s", server, database);
}

static const char *server_url(const struct test *t) {
    return t->services ? services_database_url(t->services) : t->c->cfg.database_url;
}

/* list ends with NULL */
static int admin(const struct test *t, const char *const *list, struct err *err) {
    struct pgsync *s = pgsync_open(server_url(t), err);
    int rc = s ? 0 : -1;
    for (; *list && rc == 0; list++) {
        struct pgres *res = pgsync_query(s, *list, 0, NULL, err);
        rc = res ? 0 : -1;
        pgsync_free(res);
    }
    pgsync_close(s);
    return rc;
}

static int make(const struct test *t, const char *name, const char *template, struct err *err) {
    char *drop = xasprintf("DROP DATABASE IF EXISTS %s WITH (FORCE)", name);
    char *create = xasprintf("CREATE DATABASE %s TEMPLATE %s", name, template);
    int rc = admin(t, (const char *const[]){drop, create, NULL}, err);
    free(drop);
    free(create);
    return rc;
}

static int migrate(const struct test *t, struct err *err) {
    char *url = url_of(server_url(t), t->template);
    int rc = cli_migrate(t->c, url, NULL, err);
    free(url);
    return rc;
}

/* What is in it is worth nothing: no crash has to be survived. */
static int hurry(const struct test *t, struct err *err) {
    return admin(t,
                 (const char *const[]){
                     "ALTER SYSTEM SET fsync = off", "ALTER SYSTEM SET synchronous_commit = off",
                     "ALTER SYSTEM SET full_page_writes = off", "SELECT pg_reload_conf()", NULL},
                 err);
}

/* Kept beside that of rbf dev, which saves the next run its initdb; a second run at the same time
 * gets a folder that goes away with it. */
static int start_server(struct test *t, struct err *err) {
    const char *dev = t->c->cfg.state_dir ? t->c->cfg.state_dir : ".rbf";
    char temp[] = "/tmp/rbf-test-XXXXXX";
    mkdir(dev, 0755);
    t->state_dir = xasprintf("%s/test", dev);
    struct services_options o = {.state_dir = t->state_dir, .postgres_only = true};
    if (statedir_owner(t->state_dir)) {
        if (!mkdtemp(temp))
            return err_set(err, ERR_SYS, "cannot make a folder in /tmp");
        o.state_dir = temp;
        o.throwaway = true;
    }
    t->services = services_start(&o, err);
    return t->services ? hurry(t, err) : -1;
}

static int prepare(struct test *t, struct err *err) {
    if (!t->c->cfg.database_url && start_server(t, err))
        return -1;
    char *prefix = t->services ? xstrdup("rbf_test") : xasprintf("rbf_test_%d", (int)getpid());
    t->template = xasprintf("%s_template", prefix);
    t->shared = xasprintf("%s_shared", prefix);
    int rc = make(t, t->template, "template1", err) || migrate(t, err) ||
             make(t, t->shared, t->template, err);
    if (!rc)
        t->fresh = xasprintf("%s_fresh", prefix);
    free(prefix);
    return rc ? -1 : 0;
}

static const char *database(void *arg, bool fresh, struct err *err) {
    struct test *t = arg;
    if (!t->template && prepare(t, err))
        return NULL;
    if (!t->fresh) /* it was tried before */
        return err_set(err, ERR_CONFIG, "there is no database, see above"), NULL;
    if (fresh && make(t, t->fresh, t->template, err))
        return NULL;
    free(t->url);
    t->url = url_of(server_url(t), fresh ? t->fresh : t->shared);
    return t->url;
}

/* On a private server they may stay: the next run makes its own. */
static void clean_up(struct test *t) {
    const char *names[] = {t->fresh, t->shared, t->template};
    struct err err;
    for (int i = 0; i < 3 && !t->services; i++) {
        char *sql = xasprintf("DROP DATABASE IF EXISTS %s WITH (FORCE)", names[i]);
        if (names[i] && admin(t, (const char *const[]){sql, NULL}, &err))
            cli_fail("%s", err.msg);
        free(sql);
    }
    services_stop(t->services);
    free(t->template);
    free(t->shared);
    free(t->fresh);
    free(t->state_dir);
    free(t->url);
}

/* --- which app --- */

static bool is_below(const char *path, const char *dir) {
    char a[PATH_MAX], b[PATH_MAX];
    if (!realpath(path, a) || !realpath(dir, b))
        return false;
    size_t n = strlen(b);
    return !strncmp(a, b, n) && (!a[n] || a[n] == '/');
}

/* The folder around spec/, else the file's, else the folder itself. The caller's. */
static char *app_around(const char *path) {
    struct stat st;
    char *dir = xstrdup(path), *spec = strstr(dir, "/spec/");
    size_t n = strlen(dir);
    if (n > 5 && !strcmp(dir + n - 5, "/spec"))
        spec = dir + n - 5;
    if (spec)
        *spec = 0;
    else if (stat(dir, &st) == 0 && !S_ISDIR(st.st_mode) && strchr(dir, '/'))
        *strrchr(dir, '/') = 0;
    return dir;
}

static int choose_app(struct cli *c) {
    const char *flag = cli_flag(c, "--app");
    struct stat st;
    for (int i = 0; i < c->argc; i++)
        if (stat(c->argv[i], &st))
            return -cli_fail("%s is not there: name spec files or folders", c->argv[i]);
    if (flag || (c->argc && !is_below(c->argv[0], c->cfg.app_dir))) {
        char *dir = flag ? xstrdup(flag) : app_around(c->argv[0]);
        free(c->cfg.app_dir);
        c->cfg.app_dir = dir;
    }
    int n = c->argc;
    c->argc = 0;
    int rc = cli_app_dir(c);
    c->argc = n;
    return rc;
}

/* --- busted's arguments --- */

static void add(struct call_script *s, char *arg) {
    ((char **)s->argv)[s->argc++] = arg;
}

static void add_flags(struct call_script *s, const struct cli *c) {
    for (int i = 0; i < c->n_flags; i++) {
        const struct cli_flag *f = &c->flags[i];
        const char *name = f->name;
        int n = (int)f->len;
        if ((n == 5 && !strncmp(name, "--app", 5)) || (n == 7 && !strncmp(name, "--watch", 7)))
            continue;
        if (n == 2 && name[1] == 'o')
            name = "--output", n = 8;
        add(s, *f->value ? xasprintf("%.*s=%s", n, name, f->value) : xasprintf("%.*s", n, name));
    }
}

static void make_arguments(struct call_script *s, const struct cli *c) {
    s->argv = xcalloc((size_t)(c->n_flags + c->argc) + 3, sizeof *s->argv);
    add_flags(s, c);
    for (int i = 0; i < c->argc; i++)
        add(s, xstrdup(c->argv[i]));
    if (!c->argc)
        add(s, xstrdup(c->cfg.app_dir));
}

static void free_arguments(struct call_script *s) {
    for (int i = 0; i < s->argc; i++)
        free(s->argv[i]);
    free((void *)s->argv);
}

static int run(struct test *t, struct gen *g) {
    struct buf complaint = {0};
    struct call_script s = {.path = "rbf test", .text = "", .runner = "rbf.testing.runner"};
    t->specs = (struct specs){.database = database, .arg = t};
    make_arguments(&s, t->c);
    signal(SIGPIPE, SIG_IGN);
    int code = specs_run(&t->c->cfg, g, &s, &t->specs, &complaint);
    fflush(stdout);
    if (complaint.len)
        cli_fail("%s", complaint.p);
    buf_free(&complaint);
    free_arguments(&s);
    clean_up(t);
    return code;
}

/* For lua/rbf/testing/watch.lua: who started us may have another idea. */
static void set_pwd(void) {
    char dir[PATH_MAX];
    if (getcwd(dir, sizeof dir))
        setenv("PWD", dir, 1);
}

int cmd_test(struct cli *c) {
    struct test t = {.c = c};
    struct err err;
    set_pwd();
    if (choose_app(c))
        return 1;
    if (cli_flag(c, "--watch") && !getenv("RBF_TEST_DEPENDS"))
        return test_watch(c);
    if (!strcmp(c->cfg.log_level, "info")) /* what handlers log is noise between results */
        log_set_level(LOG_ERROR);
    char *url = c->cfg.database_url; /* flags' or the environment's; never main.lua's */
    c->cfg.database_url = xstrdup(url ? url : "");
    struct gen *g = cli_load(c, &err);
    free(c->cfg.database_url);
    c->cfg.database_url = url;
    if (!g)
        return cli_fail("%s", err.msg);
    int code = run(&t, g);
    gen_unref(g);
    return code;
}
