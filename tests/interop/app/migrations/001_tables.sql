CREATE TABLE things (id TEXT PRIMARY KEY, text TEXT NOT NULL);
CREATE TABLE theirs (id UUID PRIMARY KEY DEFAULT gen_random_uuid(), number INTEGER NOT NULL); -- written by the package's worker
CREATE TABLE ours (number INTEGER NOT NULL);                                                  -- written by its follow-ups
