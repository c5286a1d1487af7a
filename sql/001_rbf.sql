-- The host's own tables. Times are ms epoch. All keys begin with the namespace, so that several
-- apps (or the TypeScript package) can share a database.

CREATE TABLE IF NOT EXISTS rbf_results (
    namespace       TEXT    NOT NULL DEFAULT 'default',
    request_id      TEXT    NOT NULL,
    requested_path  TEXT    NOT NULL,             -- subject of the request
    requested_input TEXT    NOT NULL,             -- its payload, verbatim
    data            JSONB,                        -- the reply's body
    status          INTEGER NOT NULL,             -- HTTP-like
    code_version    TEXT,
    created_at      BIGINT  NOT NULL DEFAULT (EXTRACT(EPOCH FROM clock_timestamp()) * 1000)::bigint,
    PRIMARY KEY (namespace, request_id)
);

CREATE TABLE IF NOT EXISTS rbf_outbox (
    namespace         TEXT    NOT NULL DEFAULT 'default',
    id                UUID    NOT NULL DEFAULT gen_random_uuid(),
    source_request_id TEXT    NOT NULL,
    type              TEXT    NOT NULL CHECK (type IN ('request', 'message')),
    path              TEXT    NOT NULL,           -- full subject it is published to
    data              JSONB,
    headers           JSONB,
    target_at         BIGINT,                     -- not before; NULL: at once
    created_at        BIGINT  NOT NULL DEFAULT (EXTRACT(EPOCH FROM clock_timestamp()) * 1000)::bigint,
    attempts          INTEGER NOT NULL DEFAULT 0, -- of publishing
    next_try_at       BIGINT,                     -- sweeper: after a failed attempt
    PRIMARY KEY (namespace, id)
);
-- What the sweeper asks for: who is due, oldest first. A row due at once belongs to the host that
-- committed it for a while (orphan_after); the query adds that.
CREATE INDEX IF NOT EXISTS rbf_outbox_due
    ON rbf_outbox (namespace, (COALESCE(next_try_at, target_at, created_at)));

CREATE TABLE IF NOT EXISTS rbf_dead_letters (
    namespace       TEXT    NOT NULL DEFAULT 'default',
    id              UUID    NOT NULL,
    queue           TEXT    NOT NULL,
    subject         TEXT    NOT NULL,
    request_id      TEXT    NOT NULL,
    headers         JSONB,
    payload         BYTEA,
    error_code      TEXT,
    error_message   TEXT,
    error_traceback TEXT,
    fingerprint     TEXT,
    attempts        INTEGER NOT NULL,
    first_seen_at   BIGINT  NOT NULL,
    died_at         BIGINT  NOT NULL DEFAULT (EXTRACT(EPOCH FROM clock_timestamp()) * 1000)::bigint,
    code_version    TEXT,
    replayed_at     BIGINT,
    PRIMARY KEY (namespace, id)
);
CREATE INDEX IF NOT EXISTS rbf_dead_letters_group
    ON rbf_dead_letters (namespace, fingerprint, died_at);
