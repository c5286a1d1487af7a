CREATE TABLE notes (id TEXT PRIMARY KEY);
CREATE SEQUENCE runs;
-- Fails as a conflict does, the first time it is called.
CREATE FUNCTION conflict_once() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF nextval('runs') = 1 THEN
    RAISE EXCEPTION 'made up' USING ERRCODE = '40001';
  END IF;
END $$;
