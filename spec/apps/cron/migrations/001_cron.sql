-- No key: a slot that ran twice shows.
CREATE TABLE fired (id TEXT NOT NULL, label TEXT NOT NULL, who TEXT NOT NULL);
