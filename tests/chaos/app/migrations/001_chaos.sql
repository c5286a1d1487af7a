-- Nothing here is unique on purpose: what happens twice must show.
CREATE TABLE accounts (
    id      INTEGER PRIMARY KEY,
    balance BIGINT  NOT NULL,
    version INTEGER NOT NULL DEFAULT 0 -- how many changes; every write sets what it read, plus one
);
INSERT INTO accounts SELECT i, 1000 FROM generate_series(1, 6) i;

-- What each transaction read and wrote: versions of accounts.
CREATE TABLE reads (
    request_id TEXT    NOT NULL,
    account    INTEGER NOT NULL,
    version    INTEGER NOT NULL
);
CREATE TABLE writes (
    request_id TEXT    NOT NULL,
    account    INTEGER NOT NULL,
    version    INTEGER NOT NULL,
    amount     BIGINT  NOT NULL
);

-- One row for each time a handler took effect.
CREATE TABLE effects (
    request_id TEXT    NOT NULL,
    op         TEXT    NOT NULL,
    attempt    INTEGER NOT NULL,
    at         BIGINT  NOT NULL DEFAULT (EXTRACT(EPOCH FROM clock_timestamp()) * 1000)::bigint
);
-- Follow-ups, in the transaction that asked for them.
CREATE TABLE spawned (
    id        TEXT NOT NULL, -- the follow-up's request id
    source    TEXT NOT NULL,
    target_at BIGINT         -- not before
);
CREATE TABLE cancels (
    id        TEXT    NOT NULL,
    source    TEXT    NOT NULL,
    cancelled BOOLEAN NOT NULL
);
CREATE TABLE settings (works BOOLEAN NOT NULL);
INSERT INTO settings VALUES (false);

-- Results that were there and are not any more (purge, replay, discard).
CREATE TABLE gone_results (
    request_id TEXT    NOT NULL,
    status     INTEGER NOT NULL,
    data       JSONB,
    at         BIGINT  NOT NULL DEFAULT (EXTRACT(EPOCH FROM clock_timestamp()) * 1000)::bigint
);
CREATE FUNCTION note_gone() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO gone_results (request_id, status, data) VALUES (OLD.request_id, OLD.status, OLD.data);
    RETURN NULL;
END $$;
CREATE TRIGGER note_gone AFTER DELETE ON rbf_results FOR EACH ROW EXECUTE FUNCTION note_gone();
