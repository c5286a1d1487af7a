-- Counts runs of handlers, committed or not.
CREATE SEQUENCE runs;
CREATE TABLE notes (
    text TEXT PRIMARY KEY
);
CREATE TABLE owned (
    note TEXT NOT NULL REFERENCES notes (text)
);
