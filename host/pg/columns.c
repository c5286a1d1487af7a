/* SPDX-License-Identifier: MIT */
#include "pg/columns.h"
#include "pg/pgsync.h"

/* Partitions are left out (their table is there), and so is what the user may not read. default: an
 * insert may leave the column out; generated: it must. */
#define TABLES                                                                                     \
    "tables AS (SELECT c.oid, n.nspname, c.relname, pg_table_is_visible(c.oid) AS visible"         \
    " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"                               \
    " WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition"                       \
    " AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'"                               \
    " AND c.relname !~ '^rbf_' AND has_schema_privilege(n.oid, 'USAGE')"                           \
    " AND has_any_column_privilege(c.oid, 'SELECT')),"
#define COLUMNS                                                                                    \
    " columns AS (SELECT a.*, a.attidentity = 'a' OR a.attgenerated <> '' AS generated"            \
    " FROM pg_attribute a JOIN tables t ON t.oid = a.attrelid"                                     \
    " WHERE a.attnum > 0 AND NOT a.attisdropped),"
/* A domain leads to its base, an array to its element. */
#define TYPES                                                                                      \
    " used AS (SELECT DISTINCT atttypid AS oid FROM columns"                                       \
    " UNION SELECT CASE t.typtype WHEN 'd' THEN t.typbasetype ELSE t.typelem END"                  \
    " FROM used u JOIN pg_type t ON t.oid = u.oid"                                                 \
    " WHERE t.typtype = 'd' OR t.typcategory = 'A' AND t.typelem <> 0)"
#define RESULT                                                                                     \
    " SELECT json_build_object('tables', (SELECT coalesce(json_agg(json_build_object("             \
    "'schema', t.nspname, 'name', t.relname, 'visible', t.visible, 'columns', ("                   \
    "SELECT coalesce(json_agg(json_build_object('name', a.attname, 'type', a.atttypid::int8,"      \
    " 'sql', format_type(a.atttypid, a.atttypmod), 'not_null', a.attnotnull,"                      \
    " 'default', a.atthasdef OR a.attidentity <> '', 'generated', a.generated,"                    \
    " 'dimensions', a.attndims) ORDER BY a.attnum), '[]')"                                         \
    " FROM columns a WHERE a.attrelid = t.oid)"                                                    \
    ") ORDER BY t.nspname COLLATE \"C\", t.relname COLLATE \"C\"), '[]') FROM tables t),"          \
    " 'types', (SELECT coalesce(json_object_agg(t.oid::text, json_build_object("                   \
    "'name', t.typname, 'kind', t.typtype, 'category', t.typcategory,"                             \
    " 'base', t.typbasetype::int8, 'element', t.typelem::int8, 'not_null', t.typnotnull,"          \
    " 'builtin', t.typnamespace = 'pg_catalog'::regnamespace, 'labels', ("                         \
    "SELECT coalesce(json_agg(e.enumlabel ORDER BY e.enumsortorder), '[]')"                        \
    " FROM pg_enum e WHERE e.enumtypid = t.oid))), '{}')"                                          \
    " FROM pg_type t JOIN used u ON u.oid = t.oid))"

int columns_read(const char *url, struct buf *json, struct err *err) {
    struct pgsync *s = pgsync_open(url, err);
    struct pgres *r = NULL;
    if (s)
        r = pgsync_query(s, "WITH RECURSIVE " TABLES COLUMNS TYPES RESULT, 0, NULL, err);
    if (r)
        buf_puts(json, pgres_value(r, 0, 0, NULL));
    int rc = r ? 0 : -1;
    pgsync_free(r);
    pgsync_close(s);
    return rc;
}
