-- Rebuilding rollups beside the live ones, changing an organization's zone, and dropping expired partitions without standing
-- in anybody's way.

DO $$
BEGIN
    BEGIN
        CREATE ROLE flexcredits_rebuild NOLOGIN NOSUPERUSER NOBYPASSRLS;
    EXCEPTION WHEN duplicate_object OR unique_violation THEN
        NULL;  -- roles belong to the cluster: another database of it may have made it
    END;
    GRANT USAGE ON SCHEMA public TO flexcredits_rebuild;
END
$$;

CREATE TABLE rebuilds (
    rebuild_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    organization_id integer NOT NULL REFERENCES organizations,
    first_on date,
    last_on date,
    time_zone text,
    rebuilt_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT a_range_or_a_zone CHECK ((time_zone IS NULL) = (first_on IS NOT NULL) AND (first_on IS NULL) = (last_on IS NULL))
);
CREATE INDEX rebuilds_by_organization ON rebuilds (organization_id, rebuild_id);
CREATE INDEX rebuilds_of_zones ON rebuilds (rebuild_id) WHERE time_zone IS NOT NULL;
COMMENT ON TABLE rebuilds IS 'Writer: flexcredits rebuild. Whose rollups were set right over which days, or were moved to another time zone. A new row tells aggregators to read zones again, and the API that an answer may differ from the last one.';

-- It reads what the proof consists of and cannot change it: not the ledger, not the positions, not a dead letter.
GRANT SELECT ON organizations, rates, usage_series, usage_ledger, partition_progress, partition_hours, dead_letter_outbox
    TO flexcredits_rebuild;
GRANT SELECT, INSERT, UPDATE, DELETE ON usage_15m, usage_daily, usage_monthly, usage_organization_daily,
    usage_organization_monthly, usage_corrections, usage_late TO flexcredits_rebuild;
GRANT UPDATE (time_zone) ON organizations TO flexcredits_rebuild;
GRANT SELECT, INSERT ON rebuilds TO flexcredits_rebuild;
GRANT INSERT ON totals_outbox, alert_wakeups TO flexcredits_rebuild;
GRANT SELECT ON rebuilds TO flexcredits_aggregator, flexcredits_api;

DO $$
DECLARE
    customer_table text;
BEGIN
    FOREACH customer_table IN ARRAY ARRAY['organizations', 'rates', 'usage_series', 'usage_ledger', 'dead_letter_outbox', 'usage_15m',
        'usage_daily', 'usage_monthly', 'usage_organization_daily', 'usage_organization_monthly', 'usage_corrections', 'usage_late',
        'alert_wakeups', 'rebuilds'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', customer_table);
        EXECUTE format('CREATE POLICY rebuild ON %I TO flexcredits_rebuild USING (true) WITH CHECK (true)', customer_table);
    END LOOP;
END
$$;
CREATE POLICY aggregator ON rebuilds FOR SELECT TO flexcredits_aggregator USING (true);
CREATE POLICY one_organization ON rebuilds FOR SELECT TO flexcredits_api USING (organization_id = (SELECT app_organization_id()));

-- What is past the window on a day: a ledger day or a quarter-hour month. A ledger day of which something is held waits.
CREATE FUNCTION expired_partitions(today date)
    RETURNS TABLE (name text, ledger_bucket integer, waits boolean)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT d.name, d.bucket, d.bucket IS NOT NULL AND EXISTS (SELECT FROM usage_held h WHERE h.ledger_bucket = d.bucket)
    FROM (
        SELECT c.relname::text AS name,
            CASE WHEN i.inhparent = 'usage_ledger'::regclass
                 THEN to_date(substring(c.relname FROM '^usage_ledger_(\d{8})$'), 'YYYYMMDD') - date '1970-01-01' END AS bucket,
            to_date(substring(c.relname FROM '^usage_15m_(\d{6})$'), 'YYYYMM') AS month
        FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent IN ('usage_ledger'::regclass, 'usage_15m'::regclass)
    ) AS d
    WHERE d.bucket < today - 466 - date '1970-01-01' OR d.month < date_trunc('month', today - 466) - interval '1 month'
    ORDER BY d.name
$$;
REVOKE EXECUTE ON FUNCTION expired_partitions FROM PUBLIC;
GRANT EXECUTE ON FUNCTION expired_partitions TO flexcredits_aggregator;

-- As before, but it waits two seconds for a table, not as long as its caller would: whoever comes later waits behind it. What
-- it cannot have is left to the next time, and a rebuild, which reads the ledger, is left alone.
CREATE OR REPLACE FUNCTION drop_expired_partitions(today date) RETURNS SETOF text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET lock_timeout = '2s' AS $$
DECLARE
    expired record;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('flexcredits.partitions'));
    IF NOT pg_try_advisory_xact_lock(hashtext('flexcredits.rebuild')) THEN
        RETURN;
    END IF;
    FOR expired IN SELECT * FROM expired_partitions(today) WHERE NOT waits LOOP
        BEGIN
            IF expired.ledger_bucket IS NOT NULL THEN
                EXECUTE format('INSERT INTO ledger_seals (ledger_bucket, organization_id, events, credits)
                                SELECT ledger_bucket, organization_id, count(*) FILTER (WHERE corrects IS NULL), sum(credits)
                                FROM %I WHERE NOT held GROUP BY 1, 2', expired.name);
            END IF;
            EXECUTE format('DROP TABLE %I', expired.name);
        EXCEPTION WHEN lock_not_available THEN
            EXIT;
        END;
        RETURN NEXT expired.name;
    END LOOP;
    WITH forgotten AS (
        DELETE FROM usage_ledger
        WHERE ledger_bucket BETWEEN -16 AND -1 AND received_at < (today - 466)::timestamp AT TIME ZONE 'UTC' AND NOT held
        RETURNING ledger_bucket, organization_id, credits, corrects
    )
    INSERT INTO ledger_seals AS t (ledger_bucket, organization_id, events, credits)
    SELECT ledger_bucket, organization_id, count(*) FILTER (WHERE corrects IS NULL), sum(credits) FROM forgotten GROUP BY 1, 2
    ON CONFLICT (ledger_bucket, organization_id)
    DO UPDATE SET events = t.events + excluded.events, credits = t.credits + excluded.credits, sealed_at = now();
END
$$;
