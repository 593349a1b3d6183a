-- One role per service. They get their LOGIN and password where they are deployed, never here.
DO $$
DECLARE
    service text;
BEGIN
    FOREACH service IN ARRAY ARRAY['flexcredits_ingest', 'flexcredits_aggregator', 'flexcredits_api'] LOOP
        BEGIN
            EXECUTE format('CREATE ROLE %I NOLOGIN NOSUPERUSER NOBYPASSRLS', service);
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL;  -- roles belong to the cluster: another database of it may have made them
        END;
        EXECUTE format('GRANT USAGE ON SCHEMA public TO %I', service);
    END LOOP;
END
$$;
