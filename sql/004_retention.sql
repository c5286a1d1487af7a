-- What keeps the host's tables small while it runs, and read by index however much waits.
--
-- Indexes are built with their table open to readers while writers wait (CONCURRENTLY cannot run in
-- a migration's transaction): about half a second for each million results. To spare a big live
-- table even that, create rbf_results_age by hand with CONCURRENTLY first: IF NOT EXISTS passes it
-- by. Setting autovacuum's parameters locks out neither readers nor writers.

-- A queue table: every row lives some milliseconds, and every sweep begins at the index's left end,
-- where the dead ones are. The defaults wait for a fifth of the table, which is 200,000 dead rows
-- beside a million delayed ones; so a fixed number, and no pauses.
ALTER TABLE rbf_outbox SET (
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,
    autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 50000,
    autovacuum_vacuum_cost_delay = 0);

-- Written once, read by key, purged from its old end as fast as it grows: small steps keep the freed
-- pages in use, where the defaults would first let a fifth of a day's rows become bloat. Not
-- smaller, as a vacuum reads few pages of the table but all of its indexes.
ALTER TABLE rbf_results SET (
    autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 10000,
    autovacuum_analyze_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 1);

-- Few rows, large payloads, deleted in lots (retention, replays, discards): the space is free again
-- soon, in the TOAST table too.
ALTER TABLE rbf_dead_letters SET (
    autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 200,
    toast.autovacuum_vacuum_scale_factor = 0.05, toast.autovacuum_vacuum_threshold = 200);

-- Nearly always empty, and what is in it comes and goes.
ALTER TABLE rbf_suspects SET (
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 100);

-- Rows that were tried, and nobody knows or NATS did not take them: they may be in a stream already,
-- so the results of their time stay. Mostly empty.
CREATE INDEX IF NOT EXISTS rbf_outbox_tried
    ON rbf_outbox (namespace, GREATEST(created_at, target_at)) WHERE next_try_at IS NOT NULL;
-- Messages that wait for another attempt: a result that an earlier attempt stored too late stays as
-- long as they wait, which may be longer than any retention.
CREATE INDEX IF NOT EXISTS rbf_outbox_parked
    ON rbf_outbox (namespace, source_request_id) WHERE headers ? 'RBF-First-Seen';
CREATE INDEX IF NOT EXISTS rbf_dead_letters_age ON rbf_dead_letters (namespace, died_at);

-- The purge: who is oldest. Rows are added at its right end: pgbench (tests/bench/create.pgbench)
-- is within its noise with and without it. A BRIN index is no smaller burden and widens for good
-- with each freed page that is used again: after four rounds of purge and vacuum it read all 9,678
-- pages for a batch of 1,000 rows, this one 41. Last, as its lock is held to the end.
CREATE INDEX IF NOT EXISTS rbf_results_age ON rbf_results (namespace, created_at);
