-- Messages that were delivered a third time without an outcome: how often each was run alone. One
-- that takes its worker down with it, alone, three times, is poison. Rows go with the message's end.

CREATE TABLE IF NOT EXISTS rbf_suspects (
    namespace  TEXT    NOT NULL DEFAULT 'default',
    message    TEXT    NOT NULL,                  -- "<stream>:<sequence>:<timestamp ns>"
    runs       INTEGER NOT NULL DEFAULT 1,
    created_at BIGINT  NOT NULL DEFAULT (EXTRACT(EPOCH FROM clock_timestamp()) * 1000)::bigint,
    PRIMARY KEY (namespace, message)
);
