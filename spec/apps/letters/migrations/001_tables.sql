CREATE TABLE marks (what TEXT);
CREATE TABLE settings (works BOOLEAN);
INSERT INTO settings VALUES (false);
