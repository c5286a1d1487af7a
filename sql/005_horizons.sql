-- How far back results are kept, for each stream. A message from before then has left the stream, so it
-- was acked, before the results of its time went: if it comes once more and has no result, then because a
-- killed nats-server brought it back. It is not run again.

CREATE TABLE IF NOT EXISTS rbf_horizons (
    namespace     TEXT   NOT NULL DEFAULT 'default',
    stream        TEXT   NOT NULL,
    first_seq     BIGINT NOT NULL,                -- all before it had left the stream
    stored_before BIGINT NOT NULL,                -- results that are older are not kept
    PRIMARY KEY (namespace, stream)
);
-- A row for each stream, updated by every purge.
ALTER TABLE rbf_horizons SET (
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 100);
