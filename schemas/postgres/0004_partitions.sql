-- Time partitions: made ahead, dropped when everything in them is past the window. The functions run with their
-- owner's rights, so the aggregator needs no right to create or drop tables.

CREATE FUNCTION ensure_ledger_partition(bucket integer) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    partition_name text := CASE WHEN bucket < 0 THEN 'usage_ledger_hash_' || -bucket
                                ELSE 'usage_ledger_' || to_char(date '1970-01-01' + bucket, 'YYYYMMDD') END;
BEGIN
    IF to_regclass(partition_name) IS NULL THEN
        EXECUTE format('CREATE TABLE %I PARTITION OF usage_ledger FOR VALUES IN (%s)', partition_name, bucket);
        IF bucket < 0 THEN
            -- Ids without a day are forgotten row by row; what is old lies together.
            EXECUTE format('CREATE INDEX ON %I USING brin (received_at)', partition_name);
        END IF;
    END IF;
END
$$;

CREATE FUNCTION ensure_rollup_partition(month date) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    first_day date := date_trunc('month', month);
    partition_name text := 'usage_15m_' || to_char(first_day, 'YYYYMM');
BEGIN
    IF to_regclass(partition_name) IS NULL THEN
        EXECUTE format('CREATE TABLE %I PARTITION OF usage_15m FOR VALUES FROM (%L) TO (%L) WITH (fillfactor = 80)',
                       partition_name, first_day || ' 00:00+00', (first_day + interval '1 month')::date || ' 00:00+00');
    END IF;
END
$$;

-- Every partition an event may need: ids up to 430 days older than its receipt, which a rebuild meets 30 days later,
-- and a few days ahead.
CREATE FUNCTION ensure_partitions(today date) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('flexcredits.partitions'));
    PERFORM ensure_ledger_partition(-n) FROM generate_series(1, 16) AS n;
    PERFORM ensure_ledger_partition(today - date '1970-01-01' + n) FROM generate_series(-465, 7) AS n;
    PERFORM ensure_rollup_partition((date_trunc('month', today) + make_interval(months => n))::date)
        FROM generate_series(-15, 2) AS n;
END
$$;

-- Ledger rows and quarter-hour months past the window; what leaves the ledger leaves its sums behind. Returns what was
-- dropped.
CREATE FUNCTION drop_expired_partitions(today date) RETURNS SETOF text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    expired record;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('flexcredits.partitions'));
    FOR expired IN
        SELECT c.relname, i.inhparent = 'usage_ledger'::regclass AS is_ledger FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE (i.inhparent = 'usage_ledger'::regclass
               AND to_date(substring(c.relname FROM '^usage_ledger_(\d{8})$'), 'YYYYMMDD') < today - 466)
           OR (i.inhparent = 'usage_15m'::regclass
               AND to_date(substring(c.relname FROM '^usage_15m_(\d{6})$'), 'YYYYMM')
                   < date_trunc('month', today - 466) - interval '1 month')
    LOOP
        IF expired.is_ledger THEN
            -- Held usage still needs its ledger row to be counted; such a day waits.
            CONTINUE WHEN EXISTS (SELECT FROM usage_held
                WHERE ledger_bucket = to_date(right(expired.relname, 8), 'YYYYMMDD') - date '1970-01-01');
            EXECUTE format('INSERT INTO ledger_seals (ledger_bucket, organization_id, events, credits)
                            SELECT ledger_bucket, organization_id, count(*) FILTER (WHERE corrects IS NULL), sum(credits)
                            FROM %I WHERE NOT held GROUP BY 1, 2', expired.relname);
        END IF;
        EXECUTE format('DROP TABLE %I', expired.relname);
        RETURN NEXT expired.relname;
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

SELECT ensure_partitions(current_date);
