/* SPDX-License-Identifier: MIT */
/* config - every setting of the host, from flags, environment, main.lua and defaults. A setting is
 * one row of the table in config.c (name, flag, variable, type, default, help); flags win over the
 * environment, the environment over main.lua. Not for sharing between threads while being set. */
#ifndef RBF_CONFIG_H
#define RBF_CONFIG_H
#include "base/buf.h"
#include <stdbool.h>
#include <stdint.h>

enum config_source { CONFIG_DEFAULT, CONFIG_MAIN_LUA, CONFIG_ENV, CONFIG_FLAG };

struct config {
    char *app_dir;        /* positional; "handlers" */
    char *database_url;   /* --database-url, DATABASE_URL, main.lua db; NULL: missing */
    char *nats_url;       /* --nats-url, NATS_URL, main.lua nats; NULL: missing */
    char *redis_url;      /* --redis-url, REDIS_URL, main.lua redis; NULL: in the process */
    char *nats_ca_file;   /* --nats-ca-file, RBF_NATS_CA_FILE: trusted besides the system's; NULL */
    char *nats_cert_file; /* --nats-cert-file, RBF_NATS_CERT_FILE: the client's own; NULL */
    char *nats_key_file;  /* --nats-key-file, RBF_NATS_KEY_FILE: of that; NULL */
    char *nats_creds_file; /* --nats-creds-file, RBF_NATS_CREDS_FILE: a JWT and its seed; NULL */
    char *namespace_;      /* --namespace, RBF_NAMESPACE; "default" */
    char *subject_prefix;  /* --subject-prefix, RBF_SUBJECT_PREFIX; "" or ends with a dot */
    char *queues;          /* --queues a,b, RBF_QUEUES: only these; NULL: all */
    char *log_level;       /* --log-level debug|info|warn|error, RBF_LOG_LEVEL; "info" */
    char *log_format;      /* --log-format json|pretty, RBF_LOG_FORMAT; NULL: by terminal */
    int64_t log_sample;    /* --log-sample 1, RBF_LOG_SAMPLE: one in N that went well; 0: none */
    char *log_redact;      /* --log-redact a,b, RBF_LOG_REDACT: keys besides the usual; NULL */
    char *state_dir;       /* --state-dir, RBF_STATE_DIR: of rbf dev; NULL: .rbf in the folder */
    char *http_ca_file;    /* --http-ca-file, RBF_HTTP_CA_FILE: instead of the system's; NULL */
    char *redact_headers;  /* --redact-headers a,b, RBF_REDACT_HEADERS: not kept in dead letters */
    char *dead_subject;    /* --dead-subject S, RBF_DEAD_SUBJECT: told of each dead letter; NULL */
    char *reply_prefixes;  /* --reply-prefixes a.,b., RBF_REPLY_PREFIXES: besides inboxes; "" */
    int64_t workers;       /* --workers, RBF_WORKERS; 1 */
    int64_t connections;   /* --connections, RBF_CONNECTIONS: to PostgreSQL, each worker; 16 */
    int64_t shutdown_timeout_ms; /* --shutdown-timeout 30s, RBF_SHUTDOWN_TIMEOUT */
    int64_t unknown_grace_ms;    /* --unknown-grace 3s, RBF_UNKNOWN_GRACE */
    int64_t max_attempts;        /* --max-attempts, RBF_MAX_ATTEMPTS; 10 */
    int64_t retry_initial_ms;    /* --retry-initial 100ms, RBF_RETRY_INITIAL */
    int64_t memory_limit_mb;     /* --memory-limit 256, RBF_MEMORY_LIMIT; 0: none */
    int64_t watchdog_ms;         /* --watchdog 1s, RBF_WATCHDOG; 0: off */
    int64_t retry_max_ms;        /* --retry-max 5m, RBF_RETRY_MAX */
    int64_t orphan_after_ms;     /* --orphan-after 5s, RBF_ORPHAN_AFTER: sweeper, rows due now */
    int64_t max_rpc_waiting;     /* --max-rpc-waiting, RBF_MAX_RPC_WAITING; 1000, each worker */
    int64_t cache_bytes;         /* --cache-bytes, RBF_CACHE_BYTES: in each worker; 64 MiB */
    int64_t cron_lease_ms;       /* --cron-lease 30s, RBF_CRON_LEASE */
    bool cron;                   /* --no-cron, RBF_CRON=0; true */
    bool sweeper;                /* --no-sweeper, RBF_SWEEPER=0; true */
    bool watch;                  /* --watch (run), RBF_WATCH; dev sets it */

    /* purge; 0: for ever */
    int64_t results_retention_ms; /* --results-retention 24h, RBF_RESULTS_RETENTION */
    int64_t dead_retention_ms;    /* --dead-retention 720h, RBF_DEAD_RETENTION */

    unsigned char source[64]; /* enum config_source of each row, private */
};

void config_init(struct config *c); /* defaults */
void config_free(struct config *c);
/* name is a row's name ("databaseUrl"). Durations: 500ms, 30s, 5m, 1h, or a number of ms. A source
 * lower than the one that set it is ignored. -1 with err: value, what was expected, "did you mean".
 */
int config_set(struct config *c, const char *name, const char *value, enum config_source from,
               struct err *err);
int config_from_env(struct config *c, struct err *err);
/* As if neither flag nor environment had set that text; the workers find it gone, too. */
void config_forget(struct config *c, const char *name);
/* --flag value, --flag=value, --bool, --no-bool; the positional arguments are left in order in
 * argv[0..*argc), flags taken out. Unknown flag: err with "did you mean". "--" ends flags. */
int config_from_flags(struct config *c, int *argc, char **argv, struct err *err);
/* How many arguments stand before the first that is no flag and no flag's value; own: flags that
 * config does not know, "--apply --id=" ("=": it takes a value). A "--" is the last of them. */
int config_leading(int argc, char *const *argv, const char *own);
/* The options main.lua gave to createBackend, as a JSON object of scalars (db, nats, namespace,
 * subjectPrefix, … : the names of the rows, "db", "nats" and "redis" standing for the URLs). */
int config_from_main_lua(struct config *c, const char *json, size_t n, struct err *err);
/* Appends the names of settings that main.lua may set and that differ ("maxAttempts, retryMax"). */
void config_differences(const struct config *a, const struct config *b, struct buf *names);
/* Puts what flags and environment set into the environment, for the workers (no secret then stands
 * in a process's arguments). */
void config_export(const struct config *c);
/* Appends one line for each flag: for --help. */
void config_help(struct buf *out);
/* Appends "--database-url --nats-url …": for completion. */
void config_flags(struct buf *out);
/* A URL with its password and token replaced by "***": the only form that is ever printed. */
void config_redact_url(const char *url, struct buf *out);
/* The nearest of names (NULL-terminated) to word, for "did you mean"; NULL when none is near. */
const char *config_nearest(const char *word, const char *const *names);
#endif
