/* SPDX-License-Identifier: MIT */
#include "base/log.h"
#include "base/secrets.h"
#include "cli/cli.h"
#include "core/worker.h"
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Of rbf test: busted's own, but for --app, --watch and --coverage. */
#define CMD_TEST_FLAGS                                                                             \
    "--app= --output= -o= --filter= --filter-out= --name= --tags= --exclude-tags= --repeat= "      \
    "--seed= --shuffle --list --verbose -v --no-keep-going --watch --coverage"

#define CMD_CALL_FLAGS "--param=* --header=* --timeout= --no-wait --request-id="

struct command {
    const char *name;
    int (*run)(struct cli *c);
    const char *usage, *what; /* NULL: not for people */
    const char *flags; /* those that config does not know: "--apply --id= --tag=*" ("=": valued,
                    "*": as often as one likes) */
};

static const struct command commands[] = {
    {"new", cmd_new, "new NAME", "a folder NAME with an app to begin with", ""},
    {"dev", cmd_dev, "dev [APP_DIR]",
     "private PostgreSQL and NATS, watch the files, serve; --gate: if specs pass",
     "--gate --gate-timeout="},
    {"demo", cmd_demo, "demo", "a tour that ends by itself", ""},
    {"run", cmd_run, "run [APP_DIR]", "serve against DATABASE_URL and NATS_URL", ""},
    {"db:init", cmd_db_init, "db:init [--apply]", "print the host's tables as SQL, or apply them",
     "--apply"},
    {"db:migrate", cmd_db_migrate, "db:migrate [APP_DIR]",
     "apply the host's tables and the app's migrations; --status, --dry-run",
     "--status --dry-run --json"},
    {"call", cmd_call, "call QUEUE.PATH [JSON|@FILE|-]",
     "send a request, wait, print the answer; --param, --header NAME=VALUE", CMD_CALL_FLAGS},
    {"job:trigger", cmd_call, "job:trigger QUEUE.PATH [JSON]", "the same as call", CMD_CALL_FLAGS},
    {"job:replay", cmd_job_replay, "job:replay ID | --group FP | --all",
     "send dead letters again, by id, fingerprint or all; ID --dry-run tries today's code",
     "--group= --all --dry-run --json --allow-http"},
    {"job:discard", cmd_job_discard, "job:discard ID | --group FP | --all",
     "drop dead letters, by id, fingerprint or all", "--group= --all"},
    {"job:cancel", cmd_job_cancel, "job:cancel ID",
     "cancel what waits for its time, by job or request id", ""},
    {"routes", cmd_routes, "routes [APP_DIR] [--json]",
     "the app's operations and crons, with file and line; no servers", "--json"},
    {"job:show", cmd_job_show, "job:show ID [--json]",
     "all that is known of a request, by its id, a job's or a letter's", "--json"},
    {"queue:list", cmd_queue_list, "queue:list [--json]",
     "what waits, runs, is delayed or dead in each queue", "--json"},
    {"queue:inspect", cmd_queue_inspect, "queue:inspect QUEUE [--dead]",
     "the messages of a queue, or its dead letters; --limit N, --json", "--dead --limit= --json"},
    {"outbox:list", cmd_outbox_list, "outbox:list [--json]",
     "what is committed and not yet in a stream; --limit N", "--limit= --json"},
    {"doctor", cmd_doctor, "doctor [APP_DIR] [--json]",
     "are servers, rights, tables, streams and clocks as they must be?", "--json"},
    {"check", cmd_check, "check [APP_DIR] [--json]",
     "load the files without servers, name the first fault", "--json"},
    {"types", cmd_types, "types [APP_DIR] [--output FILE|-]",
     "annotations of the app for editors; --stdout", "--output= --stdout"},
    {"exec", cmd_exec, "exec [FLAGS] SCRIPT.lua [ARGS]",
     "run a script as a client of the app; --app APP_DIR", "--app="},
    {"test", cmd_test, "test [PATH ...]",
     "run specs (busted) inside the host; --filter PATTERN, -o TAP", CMD_TEST_FLAGS},
    {"completion", cmd_completion, "completion bash", "print what completes rbf's words in bash",
     ""},
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

/* flag: n bytes, as in struct command but for its "*". True when argument i is it; then it is taken
 * out. */
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

/* All times that it is given; -1 with err: once too often, or without its value. */
static int take_all(struct cli *c, const char *flag, size_t n, bool many, struct err *err) {
    int before = c->n_flags;
    for (int i = 0; i < c->argc && c->n_flags < CLI_MAX_FLAGS;) {
        if (!take_flag(c, i, flag, n))
            i++;
        else if (flag[n - 1] == '=' && !*c->flags[c->n_flags - 1].value)
            return err_set(err, ERR_CONFIG, "%.*s needs a value", (int)n - 1, flag);
    }
    if (c->n_flags == CLI_MAX_FLAGS || (!many && c->n_flags > before + 1))
        return err_set(err, ERR_CONFIG, "%.*s is given %s", (int)(n - (flag[n - 1] == '=')), flag,
                       many ? "too often" : "more than once");
    return 0;
}

/* Those of this command; config refuses what it does not know. */
static int take_flags(struct cli *c, const char *flags, struct err *err) {
    for (size_t n; *flags; flags += n + (flags[n] == ' ')) {
        n = strcspn(flags, " ");
        bool many = flags[n - 1] == '*';
        if (take_all(c, flags, n - many, many, err))
            return -1;
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
    for (size_t n = strlen(c->cfg.app_dir); n > 1 && c->cfg.app_dir[n - 1] == '/'; n--)
        c->cfg.app_dir[n - 1] = 0;
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
            buf_printf(&b, "  rbf %-35s %s\n", commands[i].usage, commands[i].what);
    buf_puts(&b, "\nSettings (flags win over the environment, the environment over main.lua):\n");
    config_help(&b);
    cli_help_codes(&b);
    buf_puts(&b, "\nrbf COMMAND --help shows its flags, an example and its exit codes.\n");
    buf_puts(&b, "\nExample: rbf run handlers --database-url postgresql://localhost/app "
                 "--nats-url nats://localhost:4222 --workers 2\n");
    fputs(b.p, stdout);
    buf_free(&b);
    return 0;
}

static int help_of(const struct command *cmd) {
    struct buf b = {0};
    if (!cmd->usage)
        return help();
    buf_printf(&b, "rbf %s\n\n  %s\n", cmd->usage, cmd->what);
    cli_help(&b, cmd->name, cmd->flags);
    buf_puts(&b, "\nSettings (servers, namespace, logs …): rbf --help\n");
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

const char *cli_command(int n, const char **flags) {
    for (size_t i = 0; i < N_COMMANDS; i++) {
        if (!commands[i].usage || n--)
            continue;
        if (flags)
            *flags = commands[i].flags;
        return commands[i].name;
    }
    return NULL;
}

/* The launcher of a checkout (./rbf) says where it is. */
const char *cli_self(void) {
    const char *self = getenv("RBF_SELF");
    return self && *self ? self : "rbf";
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
        char *share = xasprintf("%s/../share/rbf", exe);
        bool there = realpath(share, path) != NULL;
        free(share);
        if (there)
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
    secrets_add(c->cfg.log_redact);
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
            return help_of(cmd);
    struct cli c = {.argc = argc - 2, .argv = argv + 2, .share = share_dir()};
    int code = configure(&c, cmd, &err) ? cli_fail("%s", err.msg) : cmd->run(&c);
    config_free(&c.cfg);
    return code;
}
