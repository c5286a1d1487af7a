CREATE TABLE effects (
    by TEXT NOT NULL
);
-- How many results each statement deleted.
CREATE TABLE deletions (
    n BIGINT NOT NULL
);
CREATE FUNCTION note_deletion() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO deletions SELECT count(*) FROM gone HAVING count(*) > 0;
    RETURN NULL;
END $$;
CREATE TRIGGER note_deletion AFTER DELETE ON rbf_results REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION note_deletion();
-- A commit that lasts: time to kill its worker between COMMIT and ack. Off unless asked for.
CREATE FUNCTION linger() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_sleep(5);
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER linger AFTER INSERT ON rbf_results DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (NEW.request_id LIKE 'lingers%') EXECUTE FUNCTION linger();
