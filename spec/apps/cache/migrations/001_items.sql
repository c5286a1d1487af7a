CREATE TABLE items (id TEXT PRIMARY KEY, value TEXT NOT NULL);
INSERT INTO items VALUES ('1', 'one'), ('2', 'two'), ('probe', 'probe');

-- COMMIT of a change to item 'late' waits for whoever holds advisory lock 77.
CREATE FUNCTION wait_for_77() RETURNS trigger LANGUAGE plpgsql AS
  'BEGIN PERFORM pg_advisory_xact_lock(77); RETURN NULL; END';
CREATE CONSTRAINT TRIGGER late AFTER UPDATE ON items DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW WHEN (NEW.id = 'late') EXECUTE FUNCTION wait_for_77();
INSERT INTO items VALUES ('late', 'one');
