-- app:cron. A row for each cron of the version in force: what fires next is decided here, by one
-- conditional UPDATE whose transaction also inserts the outbox row.

CREATE TABLE IF NOT EXISTS rbf_crons (
    namespace    TEXT   NOT NULL DEFAULT 'default',
    name         TEXT   NOT NULL,
    spec         TEXT   NOT NULL,
    tz           TEXT   NOT NULL,
    path         TEXT   NOT NULL,                 -- full subject of its requests
    missed       TEXT   NOT NULL CHECK (missed IN ('once', 'skip')),
    code_version TEXT   NOT NULL,                 -- that defined it so
    next_at      BIGINT NOT NULL,                 -- the slot that fires next
    last_slot    BIGINT,                          -- that fired last
    PRIMARY KEY (namespace, name)
);

-- The versions of the app whose hosts fire crons, and when each was last heard of. Of those that
-- are alive the one deployed last is in force; the others' crons rest.
CREATE TABLE IF NOT EXISTS rbf_cron_versions (
    namespace    TEXT   NOT NULL DEFAULT 'default',
    code_version TEXT   NOT NULL,
    since        BIGINT NOT NULL,                 -- deployed; unlike any other's
    seen_at      BIGINT NOT NULL,
    PRIMARY KEY (namespace, code_version)
);
