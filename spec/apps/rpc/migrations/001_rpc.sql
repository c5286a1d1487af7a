CREATE TABLE things (id text PRIMARY KEY, value jsonb, request_id text NOT NULL);
CREATE SEQUENCE runs;
