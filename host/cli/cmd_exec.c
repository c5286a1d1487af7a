/* SPDX-License-Identifier: MIT */
#include "base/tree.h"
#include "cli/cli.h"
#include "core/script.h"
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int read_script(const char *name, char path[PATH_MAX], struct buf *text) {
    char chunk[65536];
    size_t n;
    FILE *f = realpath(name, path) ? fopen(path, "rb") : NULL;
    while (f && (n = fread(chunk, 1, sizeof chunk, f)) > 0)
        buf_put(text, chunk, n);
    bool failed = !f || ferror(f); /* a folder can be opened */
    if (failed)
        cli_fail("cannot read %s: %s", name, strerror(errno));
    if (f)
        fclose(f);
    return failed ? -1 : 0;
}

/* Every file of the app is loaded by each host: a script among them would run there. */
static int check_outside(const struct tree *t, const char *name, const char *path,
                         struct err *err) {
    size_t n = strlen(t->root);
    if (strncmp(path, t->root, n) || path[n] != '/' || !tree_find(t, path + n + 1))
        return 0;
    return err_set(err, ERR_CONFIG,
                   "%s is one of the app's own files, which hosts load: put scripts outside of %s",
                   name, t->root);
}

/* --app, else what the running dev serves, else the default. */
static int choose_app(struct cli *c) {
    struct err err;
    const char *dir = cli_flag(c, "--app");
    if (dir && config_set(&c->cfg, "appDir", dir, CONFIG_FLAG, &err))
        return -cli_fail("%s", err.msg);
    return cli_app_dir(c);
}

/* NULL, said. */
static struct gen *load_app(struct cli *c, const char *name, const char *path) {
    struct err err;
    struct gen *g = NULL;
    struct tree *t = tree_read(c->cfg.app_dir, &err);
    char *lua_dir = xasprintf("%s/lua", c->share);
    if (!t || check_outside(t, name, path, &err) || !(g = gen_load(t, lua_dir, 1, &err)))
        cli_fail("%s", err.msg);
    free(lua_dir);
    tree_delete(t);
    return g;
}

/* no_nats: why neither flags, environment nor dev named NATS; main.lua may. */
static int run(struct cli *c, struct gen *g, const struct call_script *s,
               const struct err *no_nats) {
    struct err err;
    struct buf complaint = {0};
    if (config_from_main_lua(&c->cfg, g->options, strlen(g->options), &err))
        return cli_fail("%s", err.msg);
    if (!c->cfg.nats_url)
        return cli_fail("%s", no_nats->msg);
    signal(SIGPIPE, SIG_IGN);
    int code = script_run(&c->cfg, g, s, &complaint);
    fflush(stdout);
    if (complaint.len)
        cli_fail("%s", complaint.p);
    buf_free(&complaint);
    return code;
}

int cmd_exec(struct cli *c) {
    struct err no_nats = {0};
    struct buf text = {0};
    char path[PATH_MAX];
    int code = 1;
    if (!c->n_words)
        return cli_fail("usage: rbf exec [--app APP_DIR] [FLAGS] SCRIPT.lua [ARGS], as in rbf exec "
                        "seed.lua 100; all behind the script is its own");
    const char *name = c->words[0];
    if (cli_find_servers(c, &c->cfg.nats_url, &no_nats) == 0)
        err_clear(&no_nats);
    if (choose_app(c) == 0 && read_script(name, path, &text) == 0) {
        struct gen *g = load_app(c, name, path);
        struct call_script s = {.path = path,
                                .text = text.p ? text.p : "",
                                .len = text.len,
                                .argc = c->n_words - 1,
                                .argv = c->words + 1};
        if (g)
            code = run(c, g, &s, &no_nats);
        gen_unref(g);
    }
    buf_free(&text);
    return code;
}
