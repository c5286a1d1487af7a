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

/* Of rbf test: busted's own, handed on to it, but for --app. */
#define CMD_TEST_FLAGS                                                                             \
    "--app= --output= -o= --filter= --filter-out= --name= --tags= --exclude-tags= --repeat= "      \
    "--seed= --shuffle --list --verbose -v --no-keep-going --watch --coverage"

struct command {
    const char *name;
    int (*run)(struct cli *c);
    const char *usage, *what; /* NULL: not for people */
    const char *flags;        /* those that config does not know: "--apply --id=" ("=": valued) */
};

static const struct command commands[] = {
    {"dev", cmd_dev, "dev [APP_DIR]",
     "private PostgreSQL and NATS, watch the files, serve; --gate: if specs pass",
     "--gate --gate-timeout="},
    {"demo", cmd_demo, "demo", "a tour that ends by itself", ""},
    {"run", cmd_run, "run [APP_DIR]", "serve against DATABASE_URL and NATS_URL", ""},
    {"db:init", cmd_db_init, "db:init [--apply]", "print the host's tables as SQL, or apply them",
     "--apply"},
    {"job:trigger", cmd_job_trigger, "job:trigger QUEUE.PATH [JSON]",
     "send a request, wait, print the result; --request-id ID", "--request-id="},
    {"job:replay", cmd_job_replay, "job:replay ID | --group FP | --all",
     "send dead letters again, by id, fingerprint or all; ID --dry-run tries today's code",
     "--group= --all --dry-run --json --allow-http"},
    {"job:discard", cmd_job_discard, "job:discard ID | --group FP | --all",
     "drop dead letters, by id, fingerprint or all", "--group= --all"},
    {"job:cancel", cmd_job_cancel, "job:cancel ID",
     "cancel what waits for its time, by job or request id", ""},
    {"check", cmd_check, "check [APP_DIR] [--json]",
     "load the files without servers, name the first fault", "--json"},
    {"types", cmd_types, "types [APP_DIR] [--output FILE|-]",
     "annotations of the app for editors; --stdout", "--output= --stdout"},
    {"exec", cmd_exec, "exec [FLAGS] SCRIPT.lua [ARGS]",
     "run a script as a client of the app; --app APP_DIR", "--app="},
    {"test", cmd_test, "test [PATH…]",
     "run specs (busted) inside the host; --filter PATTERN, -o TAP", CMD_TEST_FLAGS},
    {"worker", cmd_worker, NULL, NULL, ""},
};
#define N_COMMANDS (sizeof commands / sizeof *commands)

/* Of n arguments, how many are ours: a script's are its own. */
static int ours(const struct command *cmd, int n, char *const *argv) {
    return cmd->run == cmd_exec ? config_leading(n, argv, cmd->flags) : n;
}

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

/* flag: as in struct command, n bytes. True when argument i is it; then it is taken out. */
static bool take_flag(struct cli *c, int i, const char *flag, size_t n) {
    bool valued = flag[n - 1] == '=';
    char *arg = c->argv[i], *value = "";
    if (valued && !strncmp(arg, flag, n)) {
        value = arg + n;
    } else if (strncmp(arg, flag, n - valued) || arg[n - valued]) {
        return false;
    } else if (valued && i + 1 < c->argc) {
        value = c->argv[i + 1];
        take_out(c, i + 1);
    }
    take_out(c, i);
    c->flags[c->n_flags++] = (struct cli_flag){flag, n - valued, value};
    return true;
}

/* Those of this command; config refuses what it does not know. */
static int take_flags(struct cli *c, const char *flags, struct err *err) {
    for (size_t n; *flags; flags += n + (flags[n] == ' ')) {
        n = strcspn(flags, " ");
        for (int i = 0; i < c->argc; i++)
            if (take_flag(c, i, flags, n)) {
                if (flags[n - 1] == '=' && !*c->flags[c->n_flags - 1].value)
                    return err_set(err, ERR_CONFIG, "%.*s needs a value", (int)n - 1, flags);
                break;
            }
    }
    return 0;
}

const char *cli_flag(const struct cli *c, const char *name) {
    for (int i = 0; i < c->n_flags; i++)
        if (strlen(name) == c->flags[i].len && !strncmp(c->flags[i].name, name, c->flags[i].len))
            return c->flags[i].value;
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
    int n = ours(cmd, c->argc, c->argv);
    c->words = c->argv + n;
    c->n_words = c->argc - n;
    c->argc = n;
    if (take_flags(c, cmd->flags, err) || config_from_env(&c->cfg, err) ||
        config_from_flags(&c->cfg, &c->argc, c->argv, err))
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
    for (int i = 2; i < ours(cmd, argc - 2, argv + 2) + 2; i++)
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h"))
            return help();
    struct cli c = {.argc = argc - 2, .argv = argv + 2, .share = share_dir()};
    int code = configure(&c, cmd, &err) ? cli_fail("%s", err.msg) : cmd->run(&c);
    config_free(&c.cfg);
    return code;
}
