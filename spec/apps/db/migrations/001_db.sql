CREATE TABLE people (
    id SERIAL PRIMARY KEY,
    email TEXT NOT NULL UNIQUE,
    name TEXT DEFAULT 'anon',
    age INT,
    city TEXT
);
CREATE SCHEMA "Odd ""one";
CREATE TABLE "Odd ""one"."select" ("from" INT, "a ""b" TEXT);

CREATE TYPE mood AS ENUM ('sad', 'ok', 'glad');
CREATE DOMAIN tags AS TEXT[];
CREATE DOMAIN digest AS BYTEA;
CREATE DOMAIN doc AS JSONB;
CREATE TABLE values_ (
    id SERIAL PRIMARY KEY,
    texts TEXT[], ints INT[], bigs INT8[], uuids UUID[], bools BOOL[], floats FLOAT8[], blobs BYTEA[],
    docs JSONB[], moods mood[], labels tags, days TIMESTAMPTZ[], points POINT[],
    doc JSONB, doc2 JSON, doc3 doc, blob BYTEA, hash digest, plain TEXT,
    mood mood, num NUMERIC, at TIMESTAMPTZ, big INT8, flag BOOL
);
CREATE TABLE parents (id INT PRIMARY KEY);
