CREATE TABLE orders (id bigserial PRIMARY KEY, what text NOT NULL, price bigint NOT NULL, raw bytea);
CREATE TABLE audit (id bigserial PRIMARY KEY, what text NOT NULL);
CREATE TABLE stamps (what text UNIQUE DEFERRABLE INITIALLY DEFERRED);
CREATE FUNCTION note_order() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN INSERT INTO audit (what) VALUES (NEW.what); RETURN NEW; END $$;
CREATE TRIGGER noted AFTER INSERT ON orders FOR EACH ROW EXECUTE FUNCTION note_order();
