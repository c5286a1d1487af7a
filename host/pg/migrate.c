/* SPDX-License-Identifier: MIT */
#include "pg/migrate.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/log.h"
#include "pg/pgparams.h"
#include "pg/pgres.h"
#include "pg/pgsync.h"
#include "pg/sqltext.h"
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Any number that no app uses by chance: "rbfmigr" in ASCII. */
#define LOCK_KEY "(32196339406825330)"
#define TABLE_SQL                                                                                  \
    "CREATE TABLE IF NOT EXISTS rbf_migrations (owner TEXT NOT NULL, name TEXT NOT NULL, "         \
    "checksum TEXT NOT NULL, applied_at BIGINT NOT NULL, PRIMARY KEY (owner, name))"
#define RECORD_SQL                                                                                 \
    "INSERT INTO rbf_migrations (owner, name, checksum, applied_at) VALUES ($1, $2, $3, "          \
    "(EXTRACT(EPOCH FROM clock_timestamp()) * 1000)::bigint)"

/* ---- the folder ---- */

struct files {
    struct dirent **list;
    int n;
};

static int is_sql(const struct dirent *d) {
    size_t n = strlen(d->d_name);
    return n > 4 && d->d_name[0] != '.' && strcmp(d->d_name + n - 4, ".sql") == 0;
}

/* By number, so that 10_x follows 9_x; of equal number by name. */
static int by_number(const struct dirent **a, const struct dirent **b) {
    unsigned long x = strtoul((*a)->d_name, NULL, 10), y = strtoul((*b)->d_name, NULL, 10);
    return x != y ? (x > y) - (x < y) : strcmp((*a)->d_name, (*b)->d_name);
}

static void files_free(struct files *f) {
    for (int i = 0; i < f->n; i++)
        free(f->list[i]);
    free(f->list);
    *f = (struct files){0};
}

static int files_read(struct files *f, const char *dir, struct err *err) {
    *f = (struct files){0};
    int n = scandir(dir, &f->list, is_sql, by_number);
    if (n < 0 && errno == ENOENT)
        return 0;
    if (n < 0)
        return err_set(err, ERR_SYS, "cannot read the folder %s: %s", dir, strerror(errno));
    f->n = n;
    for (int i = 0; i < n; i++) {
        const char *name = f->list[i]->d_name;
        if (isdigit((unsigned char)name[0]))
            continue;
        err_set(err, ERR_CONFIG,
                "%s/%s: a migration's name begins with its number, like 001_%s: rename it", dir,
                name, name);
        files_free(f);
        return -1;
    }
    return 0;
}

static int read_file(const char *dir, const char *name, struct buf *out, struct err *err) {
    char *path = xasprintf("%s/%s", dir, name);
    FILE *in = fopen(path, "re");
    char block[4096];
    int rc = 0;
    for (size_t n; in && (n = fread(block, 1, sizeof block, in)) > 0;)
        buf_put(out, block, n);
    buf_put(out, "", 0); /* never NULL, so that an empty file is "" */
    if (!in || ferror(in))
        rc = err_set(err, ERR_SYS, "cannot read %s: %s", path, strerror(errno));
    else if (out->p && strlen(out->p) != out->len)
        rc = err_set(err, ERR_CONFIG, "%s holds a NUL byte: SQL is text in UTF-8", path);
    if (in)
        fclose(in);
    free(path);
    return rc;
}

static int run(struct pgsync *s, const char *sql, struct err *err) {
    struct pgres *r = pgsync_query(s, sql, 0, NULL, err);
    pgsync_free(r);
    return r ? 0 : -1;
}

/* ---- one file ---- */

struct file {
    const char *dir, *name;
    struct buf text;
    char checksum[13];
};

static int line_of(const struct file *f, const PGresult *r, int statement) {
    const char *position = PQresultErrorField(r, PG_DIAG_STATEMENT_POSITION);
    return position ? sqltext_line_of_char(f->text.p, atoi(position))
                    : sqltext_line_of_statement(f->text.p, statement);
}

/* "sql/002_x.sql:7: relation "users" already exists (hint) [42P07, database app at host:5432]" */
static int explain(struct pgsync *s, const struct file *f, int line, const PGresult *r,
                   struct err *err) {
    struct err cause = {0};
    pgres_explain(r, &cause);
    const char *hint = PQresultErrorField(r, PG_DIAG_MESSAGE_HINT);
    PGconn *pg = pgsync_raw(s);
    const char *host = PQhost(pg), *port = PQport(pg);
    err_set(err, ERR_PG, "%s/%s:%d: %s%s%s [%s, database %s at %s:%s]", f->dir, f->name, line,
            cause.msg, hint ? ". " : "", hint ? hint : "", cause.sqlstate, PQdb(pg),
            host ? host : "?", port ? port : "?");
    if (err)
        memcpy(err->sqlstate, cause.sqlstate, sizeof err->sqlstate);
    return -1;
}

static int refuse_copy(const struct file *f, int statement, struct err *err) {
    return err_set(
        err, ERR_CONFIG,
        "%s/%s:%d: COPY FROM STDIN or TO STDOUT is not possible in a migration: use INSERT", f->dir,
        f->name, sqltext_line_of_statement(f->text.p, statement));
}

/* What goes to the server. */
struct job {
    struct pgsync *s;
    const char *owner;
    const struct migrate_watch *watch; /* may be NULL */
    int *applied;
};

static void tell(const struct job *j, const char *file) {
    if (j->watch)
        j->watch->applying(file, j->watch->arg);
}

/* PQgetResult, which tells each second that it waits. */
static PGresult *next_result(const struct job *j, const struct file *f, PGconn *pg) {
    struct pollfd socket = {PQsocket(pg), POLLIN, 0};
    while (PQisBusy(pg)) {
        if (poll(&socket, 1, 1000) == 0)
            tell(j, f->name);
        else if (!PQconsumeInput(pg))
            break; /* lost, as the result says */
    }
    return PQgetResult(pg);
}

/* The file as it is, in one message; one result comes for each of its statements. */
static int run_text(const struct job *j, const struct file *f, struct err *err) {
    PGconn *pg = pgsync_raw(j->s);
    if (!PQsendQuery(pg, f->text.p))
        return pgparams_explain(PQerrorMessage(pg), err);
    int rc = 0, statement = 0;
    for (PGresult *r; (r = next_result(j, f, pg)); statement++) {
        ExecStatusType status = PQresultStatus(r);
        bool copy = pgres_is_copy(r);
        if (copy)
            rc = refuse_copy(f, statement, err);
        else if (status == PGRES_FATAL_ERROR && rc == 0)
            rc = explain(j->s, f, line_of(f, r, statement), r, err);
        PQclear(r);
        if (copy)
            break; /* the connection is of no use any more, and is closed by the caller */
    }
    return rc;
}

static int record(struct pgsync *s, const char *owner, const struct file *f, struct err *err) {
    const char *params[] = {owner, f->name, f->checksum};
    struct pgres *r = pgsync_query(s, RECORD_SQL, 3, params, err);
    pgsync_free(r);
    return r ? 0 : -1;
}

static int commit(struct pgsync *s, const struct file *f, struct err *err) {
    PGresult *r = PQexec(pgsync_raw(s), "COMMIT"); /* where deferred constraints fail */
    int rc = PQresultStatus(r) == PGRES_COMMAND_OK ? 0 : explain(s, f, 1, r, err);
    if (rc == 0 && strcmp(PQcmdStatus(r), "COMMIT") != 0)
        rc = err_set(err, ERR_PG, "%s/%s was rolled back", f->dir, f->name);
    PQclear(r);
    return rc;
}

/* A file that says BEGIN and COMMIT itself works too: the record is then a transaction of its own.
 */
static int apply(const struct job *j, const struct file *f, struct err *err) {
    if (run(j->s, "BEGIN", err) != 0)
        return -1;
    if (run_text(j, f, err) == 0 && record(j->s, j->owner, f, err) == 0)
        return commit(j->s, f, err);
    if (PQtransactionStatus(pgsync_raw(j->s)) == PQTRANS_INERROR)
        PQclear(PQexec(pgsync_raw(j->s), "ROLLBACK"));
    return -1;
}

static int check_same(const char *applied, const struct file *f, struct err *err) {
    if (strcmp(applied, f->checksum) == 0)
        return 0;
    return err_set(
        err, ERR_CONFIG,
        "%s/%s was changed after it was applied (checksum then %s, now %s): restore it, and "
        "add a new file for the change",
        f->dir, f->name, applied, f->checksum);
}

static int apply_new(const struct job *j, const struct file *f, struct err *err) {
    tell(j, f->name);
    int rc = apply(j, f, err);
    tell(j, NULL);
    if (rc != 0)
        return -1;
    log_info("migration applied", LOG_S("owner", j->owner), LOG_S("file", f->name));
    ++*j->applied;
    return 0;
}

static int apply_if_new(const struct job *j, const struct file *f, bool check_only,
                        struct err *err) {
    const char *params[] = {j->owner, f->name};
    struct pgres *r = pgsync_query(
        j->s, "SELECT checksum FROM rbf_migrations WHERE owner = $1 AND name = $2", 2, params, err);
    int rc = r ? 0 : -1;
    if (r && pgres_rows(r) > 0)
        rc = check_same(pgres_value(r, 0, 0, NULL), f, err);
    else if (r && !check_only)
        rc = apply_new(j, f, err);
    pgsync_free(r);
    return rc;
}

/* check_only: that a file that was applied is what it was. */
static int take_file(const struct job *j, const char *dir, const char *name, bool check_only,
                     struct err *err) {
    struct file f = {.dir = dir, .name = name};
    int rc = read_file(dir, name, &f.text, err);
    if (rc == 0) {
        id_hash12(f.text.p, f.text.len, f.checksum);
        rc = apply_if_new(j, &f, check_only, err);
    }
    buf_free(&f.text);
    return rc;
}

/* ---- the folder against the server ---- */

/* Held until the connection closes. Whoever waits long is told for what. */
static int lock(struct pgsync *s, struct err *err) {
    struct pgres *r = pgsync_query(s, "SELECT pg_try_advisory_lock" LOCK_KEY, 0, NULL, err);
    bool taken = r && *pgres_value(r, 0, 0, NULL) == 't';
    pgsync_free(r);
    if (!r || taken)
        return r ? 0 : -1;
    log_info("waiting: another process applies migrations to this database");
    return run(s, "SELECT pg_advisory_lock" LOCK_KEY, err);
}

int migrate_apply(const char *url, const char *owner, const char *dir,
                  const struct migrate_watch *watch, int *applied, struct err *err) {
    struct files files;
    *applied = 0;
    if (files_read(&files, dir, err) != 0)
        return -1;
    if (files.n == 0) {
        files_free(&files);
        return 0;
    }
    struct job j = {pgsync_open(url, err), owner, watch, applied};
    int rc = -1;
    if (j.s && lock(j.s, err) == 0 && run(j.s, TABLE_SQL, err) == 0)
        rc = 0;
    for (int i = 0; rc == 0 && i < 2 * files.n; i++) /* all are checked before any is applied */
        rc = take_file(&j, dir, files.list[i % files.n]->d_name, i < files.n, err);
    pgsync_close(j.s); /* and with it the lock */
    files_free(&files);
    return rc;
}

/* NULL with *none: the table is not there yet, so nothing was applied. */
static struct pgres *applied_of(struct pgsync *s, const char *owner, bool *none, struct err *err) {
    struct err cause = {0};
    struct pgres *r = pgsync_query(s,
                                   "SELECT name, checksum, applied_at FROM rbf_migrations "
                                   "WHERE owner = $1 ORDER BY applied_at, name",
                                   1, &owner, &cause);
    *none = !r && strcmp(cause.sqlstate, "42P01") == 0;
    if (!r && !*none && err)
        *err = cause;
    return r;
}

static int row_of(const struct pgres *rows, const char *name) {
    for (int i = 0; rows && i < pgres_rows(rows); i++)
        if (strcmp(pgres_value(rows, i, 0, NULL), name) == 0)
            return i;
    return -1;
}

static int list_file(const struct migrate_list *l, const struct pgres *rows, const char *name,
                     struct err *err) {
    struct file f = {.dir = l->dir, .name = name};
    int rc = read_file(l->dir, name, &f.text, err), row = row_of(rows, name);
    struct migrate_file found = {.owner = l->owner, .name = name, .state = MIGRATE_PENDING};
    if (rc == 0 && row >= 0) {
        id_hash12(f.text.p, f.text.len, f.checksum);
        bool same = strcmp(pgres_value(rows, row, 1, NULL), f.checksum) == 0;
        found.state = same ? MIGRATE_APPLIED : MIGRATE_CHANGED;
        found.applied_at = strtoll(pgres_value(rows, row, 2, NULL), NULL, 10);
    }
    if (rc == 0)
        l->each(&found, l->arg);
    buf_free(&f.text);
    return rc;
}

static bool among(const struct files *files, const char *name) {
    for (int i = 0; i < files->n; i++)
        if (strcmp(files->list[i]->d_name, name) == 0)
            return true;
    return false;
}

static void list_gone(const struct migrate_list *l, const struct pgres *rows,
                      const struct files *files) {
    for (int i = 0; rows && i < pgres_rows(rows); i++) {
        const char *name = pgres_value(rows, i, 0, NULL);
        struct migrate_file gone = {.owner = l->owner, .name = name, .state = MIGRATE_GONE};
        gone.applied_at = strtoll(pgres_value(rows, i, 2, NULL), NULL, 10);
        if (!among(files, name))
            l->each(&gone, l->arg);
    }
}

int migrate_list(const char *url, const struct migrate_list *l, struct err *err) {
    struct files files;
    bool none = false;
    if (files_read(&files, l->dir, err) != 0)
        return -1;
    struct pgsync *s = pgsync_open(url, err);
    struct pgres *rows = s ? applied_of(s, l->owner, &none, err) : NULL;
    int rc = rows || none ? 0 : -1;
    for (int i = 0; rc == 0 && i < files.n; i++)
        rc = list_file(l, rows, files.list[i]->d_name, err);
    if (rc == 0)
        list_gone(l, rows, &files);
    pgsync_free(rows);
    pgsync_close(s);
    files_free(&files);
    return rc;
}

int migrate_print(const char *dir, struct buf *out, struct err *err) {
    struct files files;
    int rc = files_read(&files, dir, err);
    for (int i = 0; rc == 0 && i < files.n; i++) {
        buf_printf(out, "-- %s/%s\n", dir, files.list[i]->d_name);
        rc = read_file(dir, files.list[i]->d_name, out, err);
        if (out->len && out->p[out->len - 1] != '\n')
            buf_putc(out, '\n');
    }
    files_free(&files);
    return rc;
}

static bool holds(const struct pgres *names, const char *name) {
    for (int i = 0; i < pgres_rows(names); i++)
        if (strcmp(pgres_value(names, i, 0, NULL), name) == 0)
            return true;
    return false;
}

static int check_names(const struct files *files, const struct pgres *names, struct err *err) {
    for (int i = 0; i < files->n; i++)
        if (!holds(names, files->list[i]->d_name))
            return err_set(
                err, ERR_CONFIG,
                "the host's tables in the database are older than this version (%s is not "
                "applied): run `rbf db:migrate`",
                files->list[i]->d_name);
    return 0;
}

static int check_server(struct pgsync *s, const struct files *files, struct err *err) {
    struct err cause = {0};
    struct pgres *names =
        pgsync_query(s, "SELECT name FROM rbf_migrations WHERE owner = 'rbf'", 0, NULL, &cause);
    int rc = -1;
    if (names)
        rc = check_names(files, names, err);
    else if (strcmp(cause.sqlstate, "42P01") == 0)
        err_set(err, ERR_CONFIG,
                "the host's tables are missing in database %s: run `rbf db:migrate`",
                PQdb(pgsync_raw(s)));
    else if (err)
        *err = cause;
    pgsync_free(names);
    return rc;
}

/* What is due is asked from the first message on. */
static int learn_time(struct pgsync *s, struct err *err) {
    struct pgres *r = pgsync_query(
        s, "SELECT (EXTRACT(EPOCH FROM clock_timestamp()) * 1000)::bigint", 0, NULL, err);
    if (r)
        clock_set_db(strtoll(pgres_value(r, 0, 0, NULL), NULL, 10));
    pgsync_free(r);
    return r ? 0 : -1;
}

int migrate_check(const char *url, const char *dir, struct err *err) {
    struct files files;
    if (files_read(&files, dir, err) != 0)
        return -1;
    if (files.n == 0)
        return err_set(err, ERR_CONFIG, "no .sql files in %s: is the installation complete?", dir);
    struct pgsync *s = pgsync_open(url, err);
    int rc = s && check_server(s, &files, err) == 0 ? learn_time(s, err) : -1;
    pgsync_close(s);
    files_free(&files);
    return rc;
}
