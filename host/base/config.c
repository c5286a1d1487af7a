/* SPDX-License-Identifier: MIT */
#include "base/config.h"
#include "base/configval.h"
#include "base/jsonval.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct row {
    const char *name, *flag, *env;
    enum configval_type type;
    size_t offset;
    const char *preset; /* NULL: none */
    int64_t min, max;   /* of numbers and durations (ms) */
    bool in_main_lua;
    const char *value, *help; /* as --help shows them */
};

#define AT(member) offsetof(struct config, member)
#define DAY_MS 86400000

static const struct row rows[] = {
    {"appDir", NULL, NULL, CONFIGVAL_TEXT, AT(app_dir), "handlers", 0, 0, false, NULL, NULL},
    {"databaseUrl", "database-url", "DATABASE_URL", CONFIGVAL_PG_URL, AT(database_url), NULL, 0, 0,
     true, "URL", "PostgreSQL, like postgres://user@host/db"},
    {"natsUrl", "nats-url", "NATS_URL", CONFIGVAL_NATS_URL, AT(nats_url), NULL, 0, 0, true, "URL",
     "NATS, like nats://host:4222, or tls://host:4222"},
    {"natsCaFile", "nats-ca-file", "RBF_NATS_CA_FILE", CONFIGVAL_TEXT, AT(nats_ca_file), NULL, 0, 0,
     true, "FILE", "CAs (PEM) to trust for NATS besides the system's"},
    {"natsCertFile", "nats-cert-file", "RBF_NATS_CERT_FILE", CONFIGVAL_TEXT, AT(nats_cert_file),
     NULL, 0, 0, true, "FILE", "client certificate (PEM) for NATS"},
    {"natsKeyFile", "nats-key-file", "RBF_NATS_KEY_FILE", CONFIGVAL_TEXT, AT(nats_key_file), NULL,
     0, 0, true, "FILE", "the client certificate's private key (PEM)"},
    {"natsCredsFile", "nats-creds-file", "RBF_NATS_CREDS_FILE", CONFIGVAL_TEXT, AT(nats_creds_file),
     NULL, 0, 0, true, "FILE", "NATS user credentials (.creds: JWT and seed)"},
    {"redisUrl", "redis-url", "REDIS_URL", CONFIGVAL_REDIS_URL, AT(redis_url), NULL, 0, 0, true,
     "URL", "Redis for the cache, like redis://host:6379; else it is in each worker"},
    {"namespace", "namespace", "RBF_NAMESPACE", CONFIGVAL_NAME, AT(namespace_), "default", 0, 0,
     true, "NAME", "keeps apps in one database apart"},
    {"subjectPrefix", "subject-prefix", "RBF_SUBJECT_PREFIX", CONFIGVAL_PREFIX, AT(subject_prefix),
     "", 0, 0, true, "PREFIX", "in front of every subject"},
    {"queues", "queues", "RBF_QUEUES", CONFIGVAL_TEXT, AT(queues), NULL, 0, 0, false, "A,B",
     "serve only these queues"},
    {"logLevel", "log-level", "RBF_LOG_LEVEL", CONFIGVAL_LEVEL, AT(log_level), "info", 0, 0, false,
     "LEVEL", "debug, info, warn or error"},
    {"logFormat", "log-format", "RBF_LOG_FORMAT", CONFIGVAL_FORMAT, AT(log_format), NULL, 0, 0,
     false, "FORMAT", "json or pretty; pretty on a terminal"},
    {"logSample", "log-sample", "RBF_LOG_SAMPLE", CONFIGVAL_INT, AT(log_sample), "1", 0, 1000000000,
     false, "N", "log one in N of the requests that went well; 0 for none"},
    {"logRedact", "log-redact", "RBF_LOG_REDACT", CONFIGVAL_TEXT, AT(log_redact), NULL, 0, 0, false,
     "A,B", "keys whose values logs do not show, besides password, token …"},
    {"stateDir", "state-dir", "RBF_STATE_DIR", CONFIGVAL_TEXT, AT(state_dir), NULL, 0, 0, false,
     "DIR", "where rbf dev keeps its servers' data"},
    {"replyPrefixes", "reply-prefixes", "RBF_REPLY_PREFIXES", CONFIGVAL_PREFIXES,
     AT(reply_prefixes), "", 0, 0, true, "A.,B.", "subjects replies may go to besides inboxes"},
    {"redactHeaders", "redact-headers", "RBF_REDACT_HEADERS", CONFIGVAL_TEXT, AT(redact_headers),
     "authorization,proxy-authorization,cookie,x-api-key", 0, 0, true, "A,B",
     "headers whose values dead letters do not keep; none"},
    {"deadSubject", "dead-subject", "RBF_DEAD_SUBJECT", CONFIGVAL_TEXT, AT(dead_subject), NULL, 0,
     0, true, "SUBJECT", "gets a message for each dead letter"},
    {"httpCaFile", "http-ca-file", "RBF_HTTP_CA_FILE", CONFIGVAL_TEXT, AT(http_ca_file), NULL, 0, 0,
     true, "FILE", "CAs (PEM) that rbf.http trusts instead of the system's"},
    {"workers", "workers", "RBF_WORKERS", CONFIGVAL_INT, AT(workers), "1", 1, 256, true, "N",
     "worker processes"},
    {"connections", "connections", "RBF_CONNECTIONS", CONFIGVAL_INT, AT(connections), "16", 1, 1000,
     true, "N", "connections to PostgreSQL, each worker"},
    {"shutdownTimeout", "shutdown-timeout", "RBF_SHUTDOWN_TIMEOUT", CONFIGVAL_DURATION,
     AT(shutdown_timeout_ms), "30s", 0, DAY_MS, true, "TIME", "to finish what is in hand"},
    {"unknownGrace", "unknown-grace", "RBF_UNKNOWN_GRACE", CONFIGVAL_DURATION, AT(unknown_grace_ms),
     "3s", 0, DAY_MS, true, "TIME", "before an unknown path gets its 404"},
    {"maxAttempts", "max-attempts", "RBF_MAX_ATTEMPTS", CONFIGVAL_INT, AT(max_attempts), "10", 1,
     100000, true, "N", "attempts before a dead letter"},
    {"retryInitial", "retry-initial", "RBF_RETRY_INITIAL", CONFIGVAL_DURATION, AT(retry_initial_ms),
     "100ms", 1, 30 * (int64_t)DAY_MS, true, "TIME",
     "before the second attempt, doubled for each later one"},
    {"retryMax", "retry-max", "RBF_RETRY_MAX", CONFIGVAL_DURATION, AT(retry_max_ms), "5m", 1,
     30 * (int64_t)DAY_MS, true, "TIME", "between attempts at most"},
    {"memoryLimit", "memory-limit", "RBF_MEMORY_LIMIT", CONFIGVAL_INT, AT(memory_limit_mb), "256",
     0, 1000000, false, "MB", "the app's Lua state may hold, each worker; 0 for any"},
    {"watchdog", "watchdog", "RBF_WATCHDOG", CONFIGVAL_DURATION, AT(watchdog_ms), "1s", 0, DAY_MS,
     false, "TIME", "a handler may compute without waiting; 0 for ever"},
    {"orphanAfter", "orphan-after", "RBF_ORPHAN_AFTER", CONFIGVAL_DURATION, AT(orphan_after_ms),
     "5s", 1, DAY_MS, true, "TIME", "age of a due outbox row before the sweeper takes it"},
    {"maxRpcWaiting", "max-rpc-waiting", "RBF_MAX_RPC_WAITING", CONFIGVAL_INT, AT(max_rpc_waiting),
     "1000", 1, 1000000, true, "N", "plain requests a worker has in hand; above it 503"},
    {"cacheBytes", "cache-bytes", "RBF_CACHE_BYTES", CONFIGVAL_INT, AT(cache_bytes), "67108864", 0,
     (int64_t)1 << 40, true, "N", "memory of the cache in each worker; 0 for none"},
    {"sweeper", "sweeper", "RBF_SWEEPER", CONFIGVAL_BOOL, AT(sweeper), "1", 0, 0, true, NULL,
     "publish what is due or was left behind, purge what is old"},
    {"resultsRetention", "results-retention", "RBF_RESULTS_RETENTION", CONFIGVAL_DURATION,
     AT(results_retention_ms), "24h", 0, 3650 * (int64_t)DAY_MS, true, "TIME",
     "a request id is remembered after its end; 0 for ever"},
    {"deadRetention", "dead-retention", "RBF_DEAD_RETENTION", CONFIGVAL_DURATION,
     AT(dead_retention_ms), "720h", 0, 3650 * (int64_t)DAY_MS, true, "TIME",
     "a dead letter is kept; 0 for ever"},
    {"cron", "cron", "RBF_CRON", CONFIGVAL_BOOL, AT(cron), "1", 0, 0, true, NULL,
     "fire the app's crons"},
    {"cronLease", "cron-lease", "RBF_CRON_LEASE", CONFIGVAL_DURATION, AT(cron_lease_ms), "30s", 300,
     DAY_MS, true, "TIME", "a version's crons stay in force when its hosts are gone"},
    {"watch", "watch", "RBF_WATCH", CONFIGVAL_BOOL, AT(watch), "0", 0, 0, false, NULL,
     "load edited files without a restart"},
};
#define N_ROWS (sizeof rows / sizeof *rows)
_Static_assert(N_ROWS <= sizeof((struct config *)0)->source, "one source a row");

static void *slot(struct config *c, const struct row *row) {
    return (char *)c + row->offset;
}

static bool is_text(const struct row *row) {
    return row->type < CONFIGVAL_INT;
}

/* who says where the value came from: "--workers", "RBF_WORKERS", "main.lua: workers". */
static int assign(struct config *c, const struct row *row, const char *who, const char *value,
                  enum config_source from, struct err *err) {
    if (from < c->source[row - rows])
        return 0;
    struct configval v = {row->type, row->min, row->max, NULL, 0};
    if (configval_read(&v, who, value, err))
        return -1;
    if (is_text(row)) {
        free(*(char **)slot(c, row));
        *(char **)slot(c, row) = v.text;
    } else if (row->type == CONFIGVAL_BOOL) {
        *(bool *)slot(c, row) = v.number != 0;
    } else {
        *(int64_t *)slot(c, row) = v.number;
    }
    c->source[row - rows] = (unsigned char)from;
    return 0;
}

void config_init(struct config *c) {
    memset(c, 0, sizeof *c);
    for (size_t i = 0; i < N_ROWS; i++)
        if (rows[i].preset && assign(c, &rows[i], "default", rows[i].preset, CONFIG_DEFAULT, NULL))
            abort(); /* the table itself is wrong */
}

void config_free(struct config *c) {
    for (size_t i = 0; i < N_ROWS; i++)
        if (is_text(&rows[i]))
            free(*(char **)slot(c, &rows[i]));
    memset(c, 0, sizeof *c);
}

/* "unknown WHAT 'word'", with the nearest of names. */
static int unknown(const char *what, const char *dashes, const char *word, const char *const *names,
                   struct err *err) {
    const char *near = config_nearest(word, names);
    if (near)
        return err_set(err, ERR_CONFIG, "unknown %s '%s%.60s', did you mean '%s%s'?", what, dashes,
                       word, dashes, near);
    return err_set(err, ERR_CONFIG, "unknown %s '%s%.60s'%s", what, dashes, word,
                   *dashes ? ", see --help" : "");
}

int config_set(struct config *c, const char *name, const char *value, enum config_source from,
               struct err *err) {
    const char *names[N_ROWS + 1] = {NULL};
    for (size_t i = 0; i < N_ROWS; i++) {
        if (strcmp(rows[i].name, name) == 0)
            return assign(c, &rows[i], name, value, from, err);
        names[i] = rows[i].name;
    }
    return unknown("setting", "", name, names, err);
}

int config_from_env(struct config *c, struct err *err) {
    for (size_t i = 0; i < N_ROWS; i++) {
        const char *value = rows[i].env ? getenv(rows[i].env) : NULL;
        if (value && *value && assign(c, &rows[i], rows[i].env, value, CONFIG_ENV, err))
            return -1;
    }
    return 0;
}

void config_forget(struct config *c, const char *name) {
    for (size_t i = 0; i < N_ROWS; i++) {
        if (!is_text(&rows[i]) || strcmp(rows[i].name, name) != 0)
            continue;
        free(*(char **)slot(c, &rows[i]));
        *(char **)slot(c, &rows[i]) = rows[i].preset ? xstrdup(rows[i].preset) : NULL;
        c->source[i] = CONFIG_DEFAULT;
        unsetenv(rows[i].env);
    }
}

/* A row by its flag of n bytes; "no-" before one that is a bool sets *negated. */
static const struct row *row_by_flag(const char *flag, size_t n, bool *negated) {
    *negated = false;
    for (size_t i = 0; i < N_ROWS; i++) {
        const char *f = rows[i].flag;
        if (f && strlen(f) == n && memcmp(f, flag, n) == 0)
            return &rows[i];
        if (f && rows[i].type == CONFIGVAL_BOOL && n == strlen(f) + 3 &&
            memcmp(flag, "no-", 3) == 0 && memcmp(flag + 3, f, n - 3) == 0) {
            *negated = true;
            return &rows[i];
        }
    }
    return NULL;
}

static int unknown_flag(const char *arg, size_t n, struct err *err) {
    const char *names[N_ROWS + 1] = {NULL};
    size_t k = 0;
    for (size_t i = 0; i < N_ROWS; i++)
        if (rows[i].flag)
            names[k++] = rows[i].flag;
    char *word = xmemdup(arg, n);
    int rc = unknown("flag", "--", word, names, err);
    free(word);
    return rc;
}

/* arg is what stands behind "--"; next the argument after it or NULL. The number of arguments used
 * up, or -1. */
static int take_flag(struct config *c, const char *arg, const char *next, struct err *err) {
    bool negated;
    size_t n = strcspn(arg, "=");
    const char *value = arg[n] ? arg + n + 1 : NULL;
    const struct row *row = row_by_flag(arg, n, &negated);
    int used = 1;
    if (!row)
        return unknown_flag(arg, n, err);
    if (negated && value)
        return err_set(err, ERR_CONFIG, "--%.*s takes no value", (int)n, arg);
    if (!value && row->type == CONFIGVAL_BOOL)
        value = negated ? "0" : "1";
    if (!value && next && strncmp(next, "--", 2) != 0) {
        value = next;
        used = 2;
    }
    if (!value)
        return err_set(err, ERR_CONFIG, "--%s needs a value: --%s %s", row->flag, row->flag,
                       row->value);
    char who[64];
    snprintf(who, sizeof who, "--%s", row->flag);
    return assign(c, row, who, value, CONFIG_FLAG, err) ? -1 : used;
}

static bool is_flag(const char *arg) { /* "-" and "-5" are values */
    return arg[0] == '-' && arg[1] && !(arg[1] >= '0' && arg[1] <= '9');
}

int config_from_flags(struct config *c, int *argc, char **argv, struct err *err) {
    int kept = 0, i = 0;
    while (i < *argc) {
        if (strcmp(argv[i], "--") == 0) {
            for (i++; i < *argc; i++)
                argv[kept++] = argv[i];
        } else if (!is_flag(argv[i])) {
            argv[kept++] = argv[i++];
        } else if (argv[i][1] != '-') {
            return err_set(err, ERR_CONFIG, "unknown flag '%.60s', see --help", argv[i]);
        } else {
            int used = take_flag(c, argv[i] + 2, i + 1 < *argc ? argv[i + 1] : NULL, err);
            if (used < 0)
                return -1;
            i += used;
        }
    }
    if (kept < *argc)
        argv[kept] = NULL;
    *argc = kept;
    return 0;
}

static bool takes_value(const char *arg, const char *own) {
    bool negated;
    for (size_t n; *own; own += n + (own[n] == ' ')) {
        n = strcspn(own, " ");
        if (own[n - 1] == '=' && strlen(arg) == n - 1 && !strncmp(arg, own, n - 1))
            return true;
    }
    const struct row *row = arg[1] == '-' ? row_by_flag(arg + 2, strlen(arg + 2), &negated) : NULL;
    return row && row->type != CONFIGVAL_BOOL;
}

int config_leading(int argc, char *const *argv, const char *own) {
    int i = 0;
    while (i < argc && is_flag(argv[i])) {
        if (!strcmp(argv[i], "--"))
            return i + 1;
        i += takes_value(argv[i], own) ? 2 : 1;
    }
    return i < argc ? i : argc;
}

/* A scalar, or a list of strings (for prefixes), as the text a flag would have. */
static int scalar_text(const char *who, const json_t *v, struct buf *out, struct err *err) {
    size_t i;
    json_t *item;
    if (json_is_string(v)) {
        buf_puts(out, json_string_value(v));
        return 0;
    }
    if (json_is_boolean(v) || json_is_number(v)) {
        jsonval_write(out, v);
        return 0;
    }
    if (!json_is_array(v))
        return err_set(err, ERR_CONFIG, "%s must be a string, a number or a boolean", who);
    buf_puts(out, "");
    json_array_foreach(v, i, item) {
        if (!json_is_string(item))
            return err_set(err, ERR_CONFIG, "%s must be a list of strings", who);
        buf_printf(out, "%s%s", i ? "," : "", json_string_value(item));
    }
    return 0;
}

static bool same_value(const struct config *a, const struct config *b, const struct row *row) {
    const void *p = (const char *)a + row->offset, *q = (const char *)b + row->offset;
    if (row->type == CONFIGVAL_BOOL)
        return *(const bool *)p == *(const bool *)q;
    if (!is_text(row))
        return *(const int64_t *)p == *(const int64_t *)q;
    const char *s = *(char *const *)p, *t = *(char *const *)q;
    return s && t ? strcmp(s, t) == 0 : s == t;
}

void config_differences(const struct config *a, const struct config *b, struct buf *names) {
    for (size_t i = 0; i < N_ROWS; i++)
        if (rows[i].in_main_lua && !same_value(a, b, &rows[i]))
            buf_printf(names, "%s%s", names->len ? ", " : "", rows[i].name);
}

static const struct row *row_by_lua_name(const char *name) {
    if (strcmp(name, "db") == 0)
        name = "databaseUrl";
    else if (strcmp(name, "nats") == 0)
        name = "natsUrl";
    else if (strcmp(name, "redis") == 0)
        name = "redisUrl";
    for (size_t i = 0; i < N_ROWS; i++)
        if (rows[i].in_main_lua && strcmp(rows[i].name, name) == 0)
            return &rows[i];
    return NULL;
}

static int unknown_option(const char *name, struct err *err) {
    const char *names[N_ROWS + 6] = {"db", "nats", "redis", "context", "queues"};
    size_t k = 5;
    for (size_t i = 0; i < N_ROWS; i++)
        if (rows[i].in_main_lua)
            names[k++] = rows[i].name;
    return unknown("option of createBackend", "", name, names, err);
}

static int take_option(struct config *c, const char *name, const json_t *v, struct err *err) {
    if (strcmp(name, "context") == 0 || strcmp(name, "queues") == 0 || json_is_null(v))
        return 0; /* the first two are the app's, read elsewhere */
    const struct row *row = row_by_lua_name(name);
    if (!row)
        return unknown_option(name, err);
    char who[80];
    struct buf text = {0};
    snprintf(who, sizeof who, "main.lua: %s", name);
    int rc = scalar_text(who, v, &text, err);
    if (rc == 0)
        rc = assign(c, row, who, text.p, CONFIG_MAIN_LUA, err);
    buf_free(&text);
    return rc;
}

int config_from_main_lua(struct config *c, const char *json, size_t n, struct err *err) {
    json_t *options = jsonval_read(json, n, err), *v;
    const char *name;
    int rc = options ? 0 : -1;
    if (options && !json_is_object(options) && !json_is_null(options))
        rc = err_set(err, ERR_CONFIG,
                     "main.lua: the options of createBackend must be a table of "
                     "names and values");
    json_object_foreach(options, name, v) {
        if (rc == 0)
            rc = take_option(c, name, v, err);
    }
    json_decref(options);
    return rc;
}

void config_help(struct buf *out) {
    for (size_t i = 0; i < N_ROWS; i++) {
        const struct row *row = &rows[i];
        char left[64];
        if (!row->flag)
            continue;
        snprintf(left, sizeof left, "--%s%s%s%s", row->type == CONFIGVAL_BOOL ? "[no-]" : "",
                 row->flag, row->value ? " " : "", row->value ? row->value : "");
        buf_printf(out, "  %-24s %s (%s%s%s)\n", left, row->help, row->env,
                   row->preset && *row->preset ? "; " : "", row->preset ? row->preset : "");
    }
}

void config_flags(struct buf *out) {
    for (size_t i = 0; i < N_ROWS; i++) {
        const struct row *row = &rows[i];
        const char *space = out->len && out->p[out->len - 1] != ' ' ? " " : "";
        if (row->flag)
            buf_printf(out, "%s--%s", space, row->flag);
        if (row->flag && row->type == CONFIGVAL_BOOL)
            buf_printf(out, " --no-%s", row->flag);
    }
}

static void export_row(const struct config *c, const struct row *row) {
    char number[24];
    const char *value = number;
    const void *p = (const char *)c + row->offset;
    if (is_text(row))
        value = *(char *const *)p;
    else
        snprintf(number, sizeof number, "%lld",
                 row->type == CONFIGVAL_BOOL ? (long long)*(const bool *)p
                                             : (long long)*(const int64_t *)p);
    if (value)
        setenv(row->env, value, 1);
}

void config_export(const struct config *c) {
    for (size_t i = 0; i < N_ROWS; i++)
        if (rows[i].env && c->source[i] >= CONFIG_ENV)
            export_row(c, &rows[i]);
}
