-- A sequence is not rolled back: it counts how often handlers ran, not how often they committed.
CREATE SEQUENCE runs;
CREATE TABLE done (
    id INTEGER PRIMARY KEY,
    by TEXT
);
