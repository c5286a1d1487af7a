CREATE TABLE notes (
    text TEXT PRIMARY KEY
);
