-- One role per service. LOGIN and a password are set where the services are deployed, never here.
DO $$
DECLARE
    service text;
BEGIN
    FOREACH service IN ARRAY ARRAY['flexcredits_ingest', 'flexcredits_aggregator', 'flexcredits_alerter', 'flexcredits_api',
        'flexcredits_rebuild'] LOOP
        BEGIN
            EXECUTE format('CREATE ROLE %I NOLOGIN NOSUPERUSER NOBYPASSRLS', service);
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL;  -- roles belong to the cluster: another database of the cluster may have created them
        END;
        EXECUTE format('GRANT USAGE ON SCHEMA public TO %I', service);
    END LOOP;
END
$$;
