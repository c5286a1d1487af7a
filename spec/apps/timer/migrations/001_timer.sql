CREATE TABLE timers (
    id     TEXT PRIMARY KEY,
    set_at BIGINT NOT NULL,
    ms     BIGINT NOT NULL
);
CREATE TABLE fired (
    id TEXT NOT NULL,
    at BIGINT NOT NULL
);
CREATE FUNCTION clock_ms() RETURNS BIGINT LANGUAGE sql
    AS $$ SELECT (EXTRACT(EPOCH FROM clock_timestamp()) * 1000)::bigint $$;
