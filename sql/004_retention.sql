-- What keeps the host's tables small while it runs, and readable by index however much waits.
--
-- Indexes are built with the tables open to readers, but writers wait (CONCURRENTLY cannot run in a
-- migration's transaction). On a big live table that is some seconds for each million rows; to
-- spare them, create the same index with CONCURRENTLY by hand first: IF NOT EXISTS passes it by.

-- The purge: who is oldest. Always appended to at its right end. A BRIN index would cost the
-- inserts less (2 % of a create's, see README) but widens for good with each freed page that is
-- used again, until every purge reads the whole table.
CREATE INDEX IF NOT EXISTS rbf_results_age ON rbf_results (namespace, created_at);
CREATE INDEX IF NOT EXISTS rbf_dead_letters_age ON rbf_dead_letters (namespace, died_at);

-- Rows that were tried and not published (or nobody knows): they may be in a stream already, so the
-- results of their time stay. Mostly empty.
CREATE INDEX IF NOT EXISTS rbf_outbox_tried
    ON rbf_outbox (namespace, GREATEST(created_at, target_at)) WHERE next_try_at IS NOT NULL;
-- Messages that wait for a later attempt: the result that a late finisher of an earlier attempt has
-- stored stays as long as they wait, which may be longer than any retention.
CREATE INDEX IF NOT EXISTS rbf_outbox_parked
    ON rbf_outbox (namespace, source_request_id) WHERE headers ? 'RBF-First-Seen';

-- A queue table: every row lives some milliseconds, and every sweep begins at the index's left end,
-- where the dead ones are. The defaults wait for a fifth of the table, which is 200,000 dead rows
-- beside a million delayed ones; so a fixed number, and no pauses.
ALTER TABLE rbf_outbox SET (
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,
    autovacuum_vacuum_insert_scale_factor = 0.2,
    autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 50000,
    autovacuum_vacuum_cost_delay = 0);

-- Written once, read by key, purged from its old end at the rate it grows: small steps keep the
-- freed space in use, where a fifth of a day's rows would be bloat first. A vacuum reads only the
-- pages that changed, but all of the indexes: hence not smaller. The inserts' own vacuum (for
-- freezing) adds nothing to that.
ALTER TABLE rbf_results SET (
    autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 10000,
    autovacuum_analyze_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 1);

-- Few rows, large payloads, deleted in lots (retention, replays, discards): give the space back
-- soon, in the TOAST table too.
ALTER TABLE rbf_dead_letters SET (
    autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 200,
    toast.autovacuum_vacuum_scale_factor = 0.05, toast.autovacuum_vacuum_threshold = 200);

-- Nearly always empty, and its rows are updated again and again.
ALTER TABLE rbf_suspects SET (
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 100, fillfactor = 70);
