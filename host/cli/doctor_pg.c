/* SPDX-License-Identifier: MIT */
#include "base/clock.h"
#include "cli/doctor.h"
#include "cli/table.h"
#include "pg/migrate.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define OLDEST 130000 /* gen_random_uuid() */
#define TESTED 150000
#define OFFSET_MS 2000
#define LATE_MS 10000 /* a due outbox row is published within the second */

static bool is_on(const json_t *row, const char *setting) {
    return strcmp(site_text(row, setting), "off") != 0;
}

static int64_t number(const json_t *row, const char *key) {
    const json_t *v = json_object_get(row, key);
    return json_is_string(v) ? atoll(json_string_value(v)) : (int64_t)json_number_value(v);
}

/* --- the server --- */

static void check_version(struct doctor *d, const json_t *r) {
    int64_t v = number(r, "version");
    doctor_add(d,
               v < OLDEST   ? DOCTOR_PROBLEM
               : v < TESTED ? DOCTOR_WARNING
                            : DOCTOR_OK,
               "PostgreSQL",
               v < OLDEST   ? "version 13 at least; 15 is what this is tested with"
               : v < TESTED ? "this is tested with 15"
                            : NULL,
               "version %" PRId64 ".%" PRId64 ", database %s, as %s", v / 10000, v % 10000,
               site_text(r, "database"), site_text(r, "role"));
    if (json_is_true(json_object_get(r, "standby")) || is_on(r, "read_only"))
        doctor_add(d, DOCTOR_PROBLEM, "writable",
                   "name the primary, or all hosts with target_session_attrs=read-write",
                   "transactions are read only here%s",
                   json_is_true(json_object_get(r, "standby")) ? ": this is a standby" : "");
    if (strcmp(site_text(r, "encoding"), "UTF8") != 0)
        doctor_add(d, DOCTOR_PROBLEM, "encoding", "make the database with ENCODING 'UTF8'",
                   "the database's encoding is %s", site_text(r, "encoding"));
}

static void check_durability(struct doctor *d, const json_t *r) {
    static const char *const settings[] = {"fsync", "synchronous_commit", "full_page_writes"};
    bool all = true;
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        if (is_on(r, settings[i]))
            continue;
        all = false;
        doctor_add(d, DOCTOR_WARNING, "durability",
                   "set it to on where requests count: what is acked in NATS may be lost when the "
                   "server crashes",
                   "%s is off", settings[i]);
    }
    if (all)
        doctor_add(d, DOCTOR_OK, "durability", NULL, "commits reach the disk");
    if (!is_on(r, "autovacuum"))
        doctor_add(d, DOCTOR_WARNING, "autovacuum", "set autovacuum to on",
                   "autovacuum is off: rbf_outbox grows and grows slower");
}

static void check_room(struct doctor *d, const json_t *r) {
    const struct config *cfg = &d->site.c->cfg;
    int64_t wanted = cfg->workers * (cfg->connections + 1); /* and one of the sweeper's look */
    int64_t room = number(r, "max_connections") - number(r, "reserved");
    if (wanted > room)
        doctor_add(d, DOCTOR_PROBLEM, "connections",
                   "raise max_connections, or lower --connections or --workers",
                   "a host with these settings opens up to %" PRId64
                   " connections, the server takes %" PRId64,
                   wanted, room);
    else
        doctor_add(d, DOCTOR_OK, "connections", NULL,
                   "%" PRId64 " of %" PRId64 " in use, a host opens up to %" PRId64,
                   number(r, "used"), room, wanted);
    if (number(r, "pred_locks") < 256)
        doctor_add(d, DOCTOR_WARNING, "locks",
                   "set max_pred_locks_per_transaction to 256 and restart PostgreSQL",
                   "max_pred_locks_per_transaction is %" PRId64
                   ": row locks become page and table locks, and transactions conflict more",
                   number(r, "pred_locks"));
}

static void check_clock(struct doctor *d, int64_t theirs, int64_t before) {
    int64_t now = clock_wall_ms(), trip = now - before, offset = theirs - before - trip / 2;
    int64_t apart = offset < 0 ? -offset : offset;
    bool far = apart > OFFSET_MS + trip;
    doctor_add(d, far ? DOCTOR_WARNING : DOCTOR_OK, "clock",
               far ? "let both machines follow the same time (NTP): Target-At, Expires-At and "
                     "runAt go by the database's clock"
                   : NULL,
               "the database's clock is %" PRId64 " ms %s this machine's", apart,
               offset < 0 ? "behind" : "ahead of");
}

void doctor_postgres(struct doctor *d) {
    struct err err;
    int64_t before = clock_wall_ms();
    json_t *rows = site_rows(
        &d->site,
        "SELECT (EXTRACT(EPOCH FROM clock_timestamp()) * 1000)::bigint AS now,"
        " current_setting('server_version_num') AS version, current_database() AS database,"
        " current_user AS role, pg_is_in_recovery() AS standby,"
        " current_setting('default_transaction_read_only') AS read_only,"
        " current_setting('server_encoding') AS encoding, current_setting('fsync') AS fsync,"
        " current_setting('synchronous_commit') AS synchronous_commit,"
        " current_setting('full_page_writes') AS full_page_writes,"
        " current_setting('autovacuum') AS autovacuum,"
        " current_setting('max_connections') AS max_connections,"
        " current_setting('superuser_reserved_connections') AS reserved,"
        " current_setting('max_pred_locks_per_transaction') AS pred_locks,"
        " (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') AS used",
        0, NULL, &err);
    if (!rows) {
        doctor_add(d, DOCTOR_PROBLEM, "PostgreSQL", NULL, "%s", err.msg);
        return;
    }
    const json_t *r = json_array_get(rows, 0);
    check_version(d, r);
    check_durability(d, r);
    check_room(d, r);
    check_clock(d, number(r, "now"), before);
    json_decref(rows);
}

/* --- the host's tables --- */

/* What a host does with each (docs/security.md). */
#define RIGHTS                                                                                     \
    "SELECT t AS name, string_agg(p, ', ' ORDER BY p) AS missing FROM (VALUES"                     \
    " ('rbf_outbox', 'SELECT,INSERT,UPDATE,DELETE'), ('rbf_results', 'SELECT,INSERT,DELETE'),"     \
    " ('rbf_dead_letters', 'SELECT,INSERT,UPDATE,DELETE'),"                                        \
    " ('rbf_suspects', 'SELECT,INSERT,UPDATE,DELETE'),"                                            \
    " ('rbf_horizons', 'SELECT,INSERT,UPDATE'),"                                                   \
    " ('rbf_crons', 'SELECT,INSERT,UPDATE,DELETE'),"                                               \
    " ('rbf_cron_versions', 'SELECT,INSERT,UPDATE,DELETE'), ('rbf_migrations', 'SELECT')"          \
    " ) AS v(t, wanted), unnest(string_to_array(wanted, ',')) AS p"                                \
    " WHERE to_regclass(t) IS NOT NULL AND NOT has_table_privilege(to_regclass(t), p) GROUP BY t"

static void check_rights(struct doctor *d) {
    struct err err;
    size_t i;
    json_t *row, *rows = site_rows(&d->site, RIGHTS, 0, NULL, &err);
    if (!rows)
        doctor_add(d, DOCTOR_PROBLEM, "rights", NULL, "%s", err.msg);
    else if (!json_array_size(rows))
        doctor_add(d, DOCTOR_OK, "rights", NULL,
                   "this role may do with the host's tables what a "
                   "host does");
    json_array_foreach(rows, i, row) {
        char *cure = xasprintf("as the tables' owner: GRANT %s ON %s TO the host's role",
                               site_text(row, "missing"), site_text(row, "name"));
        doctor_add(d, DOCTOR_PROBLEM, "rights", cure, "this role lacks %s on %s",
                   site_text(row, "missing"), site_text(row, "name"));
        free(cure);
    }
    json_decref(rows);
}

static void check_dead(struct doctor *d, int64_t dead) {
    if (dead)
        doctor_add(d, DOCTOR_WARNING, "dead letters",
                   "see them with rbf queue:inspect QUEUE --dead; then rbf job:replay or "
                   "job:discard",
                   "%" PRId64 " that nobody has replayed or discarded", dead);
    else
        doctor_add(d, DOCTOR_OK, "dead letters", NULL, "none");
}

static void check_outbox(struct doctor *d, int64_t rows, int64_t late_ms) {
    struct buf late = {0};
    table_put_duration(&late, late_ms);
    if (late_ms > LATE_MS)
        doctor_add(d, DOCTOR_WARNING, "outbox",
                   "is a host running, with its sweeper, and NATS up? rbf outbox:list shows the "
                   "rows",
                   "%" PRId64 " rows; the oldest that is due has waited for %s", rows, late.p);
    else
        doctor_add(d, DOCTOR_OK, "outbox", NULL, "%" PRId64 " rows, none late", rows);
    buf_free(&late);
}

#define CONTENTS                                                                                   \
    "SELECT (SELECT count(*) FROM rbf_dead_letters WHERE namespace = $1 AND replayed_at IS NULL)"  \
    " AS dead, count(*) AS rows, COALESCE((EXTRACT(EPOCH FROM clock_timestamp()) * 1000)::bigint"  \
    " - min(COALESCE(next_try_at, target_at, created_at)), 0) AS late"                             \
    " FROM rbf_outbox WHERE namespace = $1"

/* Files of the app that the database does not know, or knows otherwise. */
struct files {
    struct buf pending, changed;
};

static void add_file(const struct migrate_file *f, void *arg) {
    struct files *all = arg;
    struct buf *of = f->state == MIGRATE_PENDING   ? &all->pending
                     : f->state == MIGRATE_CHANGED ? &all->changed
                                                   : NULL;
    if (of)
        buf_printf(of, "%s%s", of->len ? ", " : "", f->name);
}

static void check_migrations(struct doctor *d) {
    const struct config *cfg = &d->site.c->cfg;
    struct err err;
    struct files all = {0};
    char *dir = xasprintf("%s/migrations", cfg->app_dir);
    struct migrate_list list = {"app", dir, add_file, &all};
    if (migrate_list(cfg->database_url, &list, &err))
        doctor_add(d, DOCTOR_PROBLEM, "migrations", NULL, "%s", err.msg);
    if (all.pending.len)
        doctor_add(d, DOCTOR_WARNING, "migrations",
                   "rbf db:migrate, unless a tool of your own has applied them",
                   "the app's are not all applied: %s", all.pending.p);
    if (all.changed.len)
        doctor_add(d, DOCTOR_WARNING, "migrations",
                   "restore them, and add a new file for the change",
                   "changed after they were applied: %s", all.changed.p);
    buf_free(&all.pending);
    buf_free(&all.changed);
    free(dir);
}

void doctor_tables(struct doctor *d) {
    const struct config *cfg = &d->site.c->cfg;
    struct err err;
    char *dir = xasprintf("%s/sql", d->site.c->share);
    bool there = migrate_check(cfg->database_url, dir, &err) == 0;
    free(dir);
    if (!there) {
        doctor_add(d, DOCTOR_PROBLEM, "schema", "rbf db:migrate, as the tables' owner", "%s",
                   err.msg);
        return;
    }
    doctor_add(d, DOCTOR_OK, "schema", NULL, "the host's tables are those of rbf " RBF_VERSION);
    check_migrations(d);
    check_rights(d);
    json_t *rows = site_rows(&d->site, CONTENTS, 1, (const char *const[]){cfg->namespace_}, &err);
    const json_t *r = json_array_get(rows, 0);
    if (r) {
        check_dead(d, number(r, "dead"));
        check_outbox(d, number(r, "rows"), number(r, "late"));
    }
    json_decref(rows);
}
