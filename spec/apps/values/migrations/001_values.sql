CREATE TABLE stored (
    value JSONB
);
CREATE TABLE items (
    name TEXT PRIMARY KEY
);
