-- What was done to the books, by whom and why. Rows are added and never changed.

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is not allowed on %: what was published stays as it was', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END $$;

-- Let rows of tables be added and never changed, whoever asks: a trigger that is not ENABLE ALWAYS sleeps in a replica.
CREATE FUNCTION keep_for_good(VARIADIC tables regclass[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    kept regclass;
BEGIN
    FOREACH kept IN ARRAY tables LOOP
        EXECUTE format('CREATE TRIGGER %I BEFORE UPDATE OR DELETE OR TRUNCATE ON %s'
                       ' FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()', kept || '_stay', kept);
        EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER %I', kept, kept || '_stay');
    END LOOP;
END $$;

CREATE TABLE audit_log (
    entry bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL,
    actor text NOT NULL,
    action text NOT NULL,
    subject text NOT NULL,
    details jsonb NOT NULL
);
CREATE INDEX ON audit_log (subject, entry);

SELECT keep_for_good('audit_log');
