CREATE TABLE ran (what TEXT);
