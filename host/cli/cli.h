/* SPDX-License-Identifier: MIT */
/* cli - the commands of `rbf`, one file each; each returns the process's exit code and has printed
 * its own one-line error on standard error. Blocking, main thread. */
#ifndef RBF_CLI_H
#define RBF_CLI_H
#include "base/config.h"
#include "vm/gen.h"

#define CLI_MAX_FLAGS 64 /* given */

struct cli {
    struct config cfg; /* defaults, environment, flags */
    int argc;          /* arguments behind the command, flags taken out */
    char **argv;
    struct cli_flag { /* given, of those that only this command has; see cli_flag */
        const char *name;
        size_t len;
        const char *value;
    } flags[CLI_MAX_FLAGS];
    int n_flags;
    const char *share;  /* the folder of lua/ and sql/ */
    char *const *words; /* what is not ours: a script and its arguments */
    int n_words;
};

int cmd_run(struct cli *c);
int cmd_dev(struct cli *c);
int cmd_demo(struct cli *c);
int cmd_db_init(struct cli *c);
int cmd_db_migrate(struct cli *c);
int cmd_new(struct cli *c);
int cmd_routes(struct cli *c);
int cmd_completion(struct cli *c);
int cmd_call(struct cli *c);
int cmd_job_replay(struct cli *c);
int cmd_job_dry_run(struct cli *c); /* job:replay --dry-run */
int cmd_job_discard(struct cli *c);
int cmd_job_cancel(struct cli *c);
int cmd_job_show(struct cli *c);
int cmd_queue_list(struct cli *c);
int cmd_queue_inspect(struct cli *c);
int cmd_outbox_list(struct cli *c);
int cmd_doctor(struct cli *c);
int cmd_check(struct cli *c);
int cmd_types(struct cli *c);
int cmd_exec(struct cli *c);
int cmd_test(struct cli *c);
/* rbf test --watch: runs `rbf test` again at each change below the app's folder; ends by a signal.
 */
int test_watch(struct cli *c);
int cmd_worker(struct cli *c); /* for the supervisor only */

/* "rbf: message" on standard error; returns 1. */
int cli_fail(const char *fmt, ...) PRINTF_LIKE(1, 2);
/* The value of a flag of this command ("--group"); "" for one without value; NULL: not given. */
const char *cli_flag(const struct cli *c, const char *name);
/* server: the URL in c->cfg that the command needs. When neither flags nor environment name it,
 * both URLs, namespace, prefix and app folder become those of the `rbf dev` that runs in this
 * folder, as if flags had said so. -1 with err when none does. */
int cli_find_servers(struct cli *c, char *const *server, struct err *err);
/* The database of the `rbf dev` that runs in this folder, if it serves this very app: another's has
 * other tables. The caller's; NULL: there is none. */
char *cli_dev_database(const struct cli *c);
/* The NATS URL is that of a private server: certificates and credentials for others are not. */
void cli_private_nats(struct config *c);
/* Appends what `rbf COMMAND --help` says besides its usage (help.c): flags, as main.c's table has
 * them, an example, exit codes. */
void cli_help(struct buf *out, const char *command, const char *flags);
/* Appends the table of exit codes, of all commands. */
void cli_help_codes(struct buf *out);
/* The i-th command that is for people, and its flags (NULL: not wanted); NULL behind the last. */
const char *cli_command(int i, const char **flags);
/* What people type to get here: "./rbf" or "rbf". */
const char *cli_self(void);
/* Applies the host's own migrations, then the app's: what dev, test and db:migrate do. n counts
 * those of each, where it is not NULL. -1 with err. */
struct cli_migrated {
    int host, app;
};
int cli_migrate(const struct cli *c, const char *url, struct cli_migrated *n, struct err *err);
/* The app's folder: the argument, else what is configured. -1, said, when it is no folder or there
 * is more than one argument. */
int cli_app_dir(struct cli *c);
/* Loads the app and takes main.lua's settings into c->cfg, without any server. The caller's; NULL
 * with err: "handlers/users.lua:12: …". */
struct gen *cli_load(struct cli *c, struct err *err);
/* cli_app_dir(), then cli_load(). The caller's; NULL: said. */
struct gen *cli_app(struct cli *c);
#endif
