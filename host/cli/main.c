/* SPDX-License-Identifier: MIT */
#include "base/log.h"
#include "cli/cli.h"
#include "core/worker.h"
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct command {
    const char *name;
    int (*run)(struct cli *c);
    const char *usage, *what; /* NULL: not for people */
    const char *own_flag;     /* one that config does not know; with "=": it takes a value */
    bool hands_on;            /* what follows the first word that is no flag is not ours */
};

static const struct command commands[] = {
    {"dev", cmd_dev, "dev [APP_DIR]", "private PostgreSQL and NATS, watch the files, serve", NULL,
     false},
    {"demo", cmd_demo, "demo", "a tour that ends by itself", NULL, false},
    {"run", cmd_run, "run [APP_DIR]", "serve against DATABASE_URL and NATS_URL", NULL, false},
    {"db:init", cmd_db_init, "db:init [--apply]", "print the host's tables as SQL, or apply them",
     "--apply", false},
    {"job:trigger", cmd_job_trigger, "job:trigger QUEUE.PATH [JSON]",
     "send a request, wait, print the result; --request-id ID", "--request-id=", false},
    {"exec", cmd_exec, "exec [FLAGS] SCRIPT.lua [ARGS]",
     "run a script as a client of the app; --app APP_DIR", "--app=", true},
    {"worker", cmd_worker, NULL, NULL, NULL, false},
};
#define N_COMMANDS (sizeof commands / sizeof *commands)

int cli_fail(const char *fmt, ...) {
    va_list ap;
    fputs("rbf: ", stderr);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
    return 1;
}

static void take_out(struct cli *c, int i) {
    memmove(&c->argv[i], &c->argv[i + 1], sizeof *c->argv * (size_t)(c->argc - i - 1));
    c->argc--;
}

/* "--flag", or "--flag=" with its value in the same or the next argument. */
static const char *take_flag(struct cli *c, const char *flag) {
    size_t n = strlen(flag);
    bool valued = flag[n - 1] == '=';
    for (int i = 0; i < c->argc; i++) {
        char *arg = c->argv[i];
        if (valued && !strncmp(arg, flag, n)) {
            take_out(c, i);
            return arg + n;
        }
        if (strncmp(arg, flag, n - valued) || arg[n - valued])
            continue;
        take_out(c, i);
        if (!valued || i >= c->argc)
            return "";
        arg = c->argv[i];
        take_out(c, i);
        return arg;
    }
    return NULL;
}

int cli_app_dir(struct cli *c) {
    struct stat st;
    if (c->argc > 1)
        return -cli_fail("one APP_DIR at most, found '%s' too; see rbf --help", c->argv[1]);
    if (c->argc == 1) {
        free(c->cfg.app_dir);
        c->cfg.app_dir = xstrdup(c->argv[0]);
    }
    if (stat(c->cfg.app_dir, &st) || !S_ISDIR(st.st_mode))
        return -cli_fail("%s is not a folder: name the one that holds your handlers, as in "
                         "`rbf dev handlers`",
                         c->cfg.app_dir);
    return 0;
}

int cmd_worker(struct cli *c) {
    return worker_main(&c->cfg, c->share);
}

static int help(void) {
    struct buf b = {0};
    buf_puts(&b, "rbf " RBF_VERSION ": reliable backends, written in Lua\n\n");
    for (size_t i = 0; i < N_COMMANDS; i++)
        if (commands[i].usage)
            buf_printf(&b, "  rbf %-32s %s\n", commands[i].usage, commands[i].what);
    buf_puts(&b, "\nSettings (flags win over the environment, the environment over main.lua):\n");
    config_help(&b);
    buf_puts(&b, "\nExample: rbf run handlers --database-url postgresql://localhost/app "
                 "--nats-url nats://localhost:4222 --workers 2\n");
    fputs(b.p, stdout);
    buf_free(&b);
    return 0;
}

static const struct command *find(const char *name) {
    for (size_t i = 0; i < N_COMMANDS; i++)
        if (!strcmp(commands[i].name, name))
            return &commands[i];
    return NULL;
}

static int unknown(const char *name) {
    const char *names[N_COMMANDS + 1] = {0};
    for (size_t i = 0, n = 0; i < N_COMMANDS; i++)
        if (commands[i].usage)
            names[n++] = commands[i].name;
    const char *near = config_nearest(name, names);
    if (near)
        return cli_fail("unknown command '%s', did you mean '%s'? See rbf --help", name, near);
    return cli_fail("unknown command '%s'; see rbf --help", name);
}

/* RBF_SHARE, else share/rbf beside an installed binary, else where it was built from. */
static const char *share_dir(void) {
    static char path[PATH_MAX];
    char exe[PATH_MAX - 32];
    const char *set = getenv("RBF_SHARE");
    if (set && *set)
        return set;
    ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
    char *slash = n > 0 ? (exe[n] = 0, strrchr(exe, '/')) : NULL;
    if (slash) {
        *slash = 0;
        snprintf(path, sizeof path, "%s/../share/rbf", exe);
        if (!access(path, R_OK))
            return path;
    }
    return RBF_SHARE;
}

static int configure(struct cli *c, const struct command *cmd, struct err *err) {
    config_init(&c->cfg);
    if (cmd->hands_on) {
        int n = config_leading(c->argc, c->argv, cmd->own_flag);
        c->words = c->argv + n;
        c->n_words = c->argc - n;
        c->argc = n;
    }
    if (cmd->own_flag) /* config_from_flags refuses what it does not know */
        c->own_flag = take_flag(c, cmd->own_flag);
    if (config_from_env(&c->cfg, err) || config_from_flags(&c->cfg, &c->argc, c->argv, err))
        return -1;
    if (log_set_format(c->cfg.log_format))
        return err_set(err, ERR_CONFIG, "--log-format is json or pretty, found '%s'",
                       c->cfg.log_format);
    const char *const levels[] = {"debug", "info", "warn", "error", NULL};
    for (int i = 0; levels[i]; i++)
        if (!strcmp(levels[i], c->cfg.log_level)) {
            log_set_level((enum log_level)i);
            return 0;
        }
    return err_set(err, ERR_CONFIG, "--log-level is debug, info, warn or error, found '%s'",
                   c->cfg.log_level);
}

int main(int argc, char **argv) {
    struct err err;
    if (argc < 2 || !strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") ||
        !strcmp(argv[1], "help"))
        return help();
    if (!strcmp(argv[1], "--version"))
        return puts("rbf " RBF_VERSION) < 0;
    const struct command *cmd = find(argv[1]);
    if (!cmd)
        return unknown(argv[1]);
    int ours = cmd->hands_on ? config_leading(argc - 2, argv + 2, cmd->own_flag) : argc - 2;
    for (int i = 2; i < ours + 2; i++)
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h"))
            return help();
    struct cli c = {.argc = argc - 2, .argv = argv + 2, .share = share_dir()};
    int code = configure(&c, cmd, &err) ? cli_fail("%s", err.msg) : cmd->run(&c);
    config_free(&c.cfg);
    return code;
}
