/* SPDX-License-Identifier: MIT */
/* job:replay ID --dry-run: a request that had its outcome, on today's code, in a transaction that
 * is rolled back. What happens is lua/rbf/dryrun's business. */
#include "base/jsonval.h"
#include "base/log.h"
#include "cli/cli.h"
#include "core/specs.h"
#include "pg/pgsync.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* $1 namespace, $2 id. All there is to know, as JSON; a letter's result is that of its request. */
static const char look_up[] =
    "WITH l AS (SELECT * FROM rbf_dead_letters WHERE namespace = $1"
    "   AND (id::text = lower($2) OR request_id = $2)"
    "   ORDER BY id::text = lower($2) DESC, died_at DESC LIMIT 1)"
    " SELECT jsonb_build_object("
    " 'letter', (SELECT jsonb_build_object('id', id, 'subject', subject, 'requestId', request_id,"
    "   'headers', headers, 'payload', encode(payload, 'hex'), 'code', error_code,"
    "   'message', error_message, 'traceback', error_traceback, 'attempts', attempts,"
    "   'diedAt', died_at, 'codeVersion', code_version, 'replayedAt', replayed_at) FROM l),"
    " 'result', (SELECT jsonb_build_object('subject', requested_path, 'requestId', request_id,"
    "   'input', requested_input, 'status', status, 'data', data, 'createdAt', created_at,"
    "   'codeVersion', code_version) FROM rbf_results WHERE namespace = $1"
    "   AND request_id = COALESCE((SELECT request_id FROM l), $2)))";

/* NULL with err: also when nothing has that id. */
static json_t *find(const struct config *cfg, const char *id, struct err *err) {
    struct pgsync *s = pgsync_open(cfg->database_url, err);
    struct pgres *r =
        s ? pgsync_query(s, look_up, 2, (const char *const[]){cfg->namespace_, id}, err) : NULL;
    const char *text = r ? pgres_value(r, 0, 0, NULL) : NULL;
    json_t *found = text ? jsonval_read(text, strlen(text), err) : NULL;
    if (found && json_is_null(json_object_get(found, "letter")) &&
        json_is_null(json_object_get(found, "result"))) {
        json_decref(found);
        found = NULL;
        err_set(err, ERR_CONFIG,
                "no dead letter or stored result in namespace '%s' has the id or request id %s "
                "(results are kept for --results-retention)",
                cfg->namespace_, id);
    }
    pgsync_free(r);
    pgsync_close(s);
    return found;
}

static const char *database(void *arg, bool fresh, struct err *err) {
    return arg;
}

static int run(struct cli *c, struct gen *g, json_t *found) {
    struct buf asked = {0}, complaint = {0};
    struct specs specs = {.database = database, .arg = c->cfg.database_url};
    json_t *o = json_pack("{s:O,s:s,s:s,s:b,s:b}", "found", found, "prefix", c->cfg.subject_prefix,
                          "version", g->version, "json", cli_flag(c, "--json") != NULL, "allowHttp",
                          cli_flag(c, "--allow-http") != NULL);
    jsonval_write(&asked, o);
    json_decref(o);
    struct call_script s = {.path = "rbf job:replay",
                            .text = "",
                            .runner = "rbf.dryrun",
                            .argc = 1,
                            .argv = (char *const[]){asked.p}};
    signal(SIGPIPE, SIG_IGN);
    int code = specs_run(&c->cfg, g, &s, &specs, &complaint);
    fflush(stdout);
    if (complaint.len)
        cli_fail("%.*s", (int)strcspn(complaint.p, "\n"), complaint.p);
    buf_free(&complaint);
    buf_free(&asked);
    return code;
}

/* main.lua may name the database; else flags, the environment or a running dev do. */
static struct gen *load(struct cli *c, const struct err *no_database) {
    struct err err;
    struct gen *g = cli_load(c, &err);
    if (g && c->cfg.database_url)
        return g;
    cli_fail("%s", g ? no_database->msg : err.msg);
    if (g)
        gen_unref(g);
    return NULL;
}

static int run_one(struct cli *c, const char *id) {
    struct err err, no_database = {0};
    if (cli_find_servers(c, &c->cfg.database_url, &no_database) == 0)
        err_clear(&no_database);
    if (cli_app_dir(c))
        return 1;
    struct gen *g = load(c, &no_database);
    if (!g)
        return 1;
    json_t *found = find(&c->cfg, id, &err);
    int code = found ? run(c, g, found) : cli_fail("%s", err.msg);
    json_decref(found);
    gen_unref(g);
    return code;
}

int cmd_job_dry_run(struct cli *c) {
    if (c->argc < 1 || c->argc > 2 || cli_flag(c, "--group") || cli_flag(c, "--all"))
        return cli_fail(
            "usage: rbf job:replay ID [APP_DIR] --dry-run [--json] [--allow-http], with "
            "the id of one dead letter or request");
    if (!strcmp(c->cfg.log_level, "info"))
        log_set_level(LOG_WARN);
    const char *id = c->argv[0];
    c->argv++;
    c->argc--;
    return run_one(c, id);
}
