CREATE TABLE audit (who text NOT NULL, request_id text NOT NULL);
CREATE TABLE seen (
  path text NOT NULL, attempt int NOT NULL, request_id text NOT NULL, params jsonb NOT NULL,
  headers jsonb NOT NULL
);
CREATE SEQUENCE runs;
