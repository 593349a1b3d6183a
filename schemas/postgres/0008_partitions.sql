-- Partitions by time: created ahead of time, dropped when all their rows are older than the retention window. The functions run
-- with the rights of their owner, so that the aggregator needs no right to create or drop tables.
--
-- Rights on a table do not hold for its partitions, and neither does row-level security. Only the aggregator has rights on
-- partitions: it copies into those of the ledger (COPY FROM is refused on tables with row-level security), and merges into those
-- of usage_15m. Its policies on the tables admit every row, so the partitions give it nothing that the tables do not.

-- Creates a partition of the ledger and moves the strays of its day into it. CREATE TABLE ... PARTITION OF locks the whole
-- ledger, so no open transaction can still insert a copy of one of these ids elsewhere. If there are too many strays to move
-- within seconds, the day stays without a partition: its usage is inserted more slowly and still counts once.
CREATE FUNCTION ensure_ledger_partition(bucket integer) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    strays_max CONSTANT integer := 100000;
    with_corrections uuid[];
    partition_name text := CASE WHEN bucket < 0 THEN 'usage_ledger_hash_' || -bucket
                                ELSE 'usage_ledger_' || to_char(date '1970-01-01' + bucket, 'YYYYMMDD') END;
BEGIN
    IF to_regclass(partition_name) IS NOT NULL THEN
        RETURN;
    END IF;
    IF bucket >= 0 AND (SELECT count(*) FROM (SELECT FROM ledger_strays WHERE id_day = bucket LIMIT strays_max + 1) AS s) > strays_max THEN
        RAISE WARNING 'more than % rows are outside of %: the partition was not created', strays_max, partition_name;
        RETURN;
    END IF;
    EXECUTE format('CREATE TABLE %I PARTITION OF usage_ledger FOR VALUES IN (%s)', partition_name, bucket);
    EXECUTE format('GRANT INSERT ON %I TO flexcredits_aggregator', partition_name);
    IF bucket < 0 THEN
        -- Retention deletes ids without a day row by row; rows of the same age are close together.
        EXECUTE format('CREATE INDEX ON %I USING brin (received_at)', partition_name);
        RETURN;
    END IF;
    IF EXISTS (SELECT FROM ledger_strays WHERE id_day = bucket) THEN
        UPDATE usage_ledger l SET ledger_bucket = bucket
            FROM ledger_strays s WHERE s.id_day = bucket AND (l.ledger_bucket, l.identity) = (s.ledger_bucket, s.identity)
                AND l.ledger_bucket BETWEEN -16 AND -1;
        -- Corrections may be in any partition: search them only for originals that have some.
        with_corrections := ARRAY(
            SELECT l.identity FROM usage_ledger l JOIN ledger_strays s USING (identity)
            WHERE l.ledger_bucket = bucket AND l.corrected IS NOT NULL AND s.id_day = bucket
            UNION SELECT s.identity FROM usage_held h JOIN ledger_strays s ON (h.corrects_bucket, h.corrects) = (s.ledger_bucket, s.identity)
            WHERE s.id_day = bucket);
        UPDATE usage_ledger l SET corrects_bucket = bucket
            FROM ledger_strays s WHERE s.id_day = bucket AND l.corrects = s.identity AND l.corrects_bucket = s.ledger_bucket
                AND l.corrects = ANY (with_corrections);
        UPDATE usage_held h SET ledger_bucket = bucket
            FROM ledger_strays s WHERE s.id_day = bucket AND (h.ledger_bucket, h.identity) = (s.ledger_bucket, s.identity);
        UPDATE usage_held h SET corrects_bucket = bucket
            FROM ledger_strays s WHERE s.id_day = bucket AND h.corrects = s.identity AND h.corrects_bucket = s.ledger_bucket;
        UPDATE correction_reasons c SET ledger_bucket = bucket
            FROM ledger_strays s WHERE s.id_day = bucket AND (c.ledger_bucket, c.identity) = (s.ledger_bucket, s.identity);
        DELETE FROM ledger_strays WHERE id_day = bucket;
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
        EXECUTE format('CREATE TABLE %I PARTITION OF usage_15m FOR VALUES FROM (%L) TO (%L) WITH (fillfactor = 50)',
                       partition_name, first_day || ' 00:00+00', (first_day + interval '1 month')::date || ' 00:00+00');
        EXECUTE format('GRANT SELECT, INSERT, UPDATE ON %I TO flexcredits_aggregator', partition_name);
    END IF;
END
$$;

-- Creates every partition that an event may need: ids are up to 430 days older than their receipt, a rebuild may read them 30 days
-- later, and clocks may be a few days ahead.
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

-- Ledger days and quarter-hour months that are past the window on a day. A ledger day waits while it has held usage, while a held
-- correction refers to it, and while one of its rows was received in the last 466 days: an old id may be used for the first time
-- now, and its copies must be recognized for as long as those of any other id.
CREATE FUNCTION expired_partitions(today date)
    RETURNS TABLE (name text, ledger_bucket integer, waits boolean)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT d.name, d.bucket, d.bucket IS NOT NULL AND (
        EXISTS (SELECT FROM usage_held h WHERE h.ledger_bucket = d.bucket)
        OR EXISTS (SELECT FROM usage_held h WHERE h.corrects_bucket = d.bucket)
        OR EXISTS (SELECT FROM usage_ledger l
                   WHERE l.ledger_bucket = d.bucket AND l.received_at >= (today - 466)::timestamp AT TIME ZONE 'UTC'))
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

-- Seals and deletes the counted rows of a ledger partition that were received before `before` (null: all), one organization
-- at a time; returns the organizations whose rows fail and stay.
CREATE FUNCTION seal_ledger_rows(partition_name text, before timestamptz) RETURNS integer[]
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    organization integer;
    failed integer[] := '{}';
BEGIN
    FOR organization IN EXECUTE format('SELECT DISTINCT organization_id FROM %I WHERE NOT held AND ($1 IS NULL OR received_at < $1)', partition_name)
        USING before LOOP
        BEGIN
            EXECUTE format('WITH deleted AS (
                    DELETE FROM %I WHERE organization_id = $1 AND NOT held AND ($2 IS NULL OR received_at < $2)
                    RETURNING ledger_bucket, organization_id, credits, corrects)
                INSERT INTO ledger_seals AS t (ledger_bucket, organization_id, events, credits)
                SELECT ledger_bucket, organization_id, count(*) FILTER (WHERE corrects IS NULL), sum(credits) FROM deleted GROUP BY 1, 2
                ON CONFLICT (ledger_bucket, organization_id)
                DO UPDATE SET events = t.events + excluded.events, credits = t.credits + excluded.credits, sealed_at = now()', partition_name)
                USING organization, before;
        EXCEPTION
            WHEN lock_not_available OR serialization_failure OR deadlock_detected THEN RAISE;
            WHEN OTHERS THEN
                -- A full disk or a missing column is not caused by the organization's data: runtime/isolation.py has the same classes.
                IF left(SQLSTATE, 2) NOT IN ('21', '22', '23', '2F', '38', '39', '54', 'P0') THEN
                    RAISE;
                END IF;
                failed := failed || organization;
                INSERT INTO quarantine AS q (organization_id, component, step, reason, retry_at)
                VALUES (organization, 'retention', 'sealing',
                        SQLSTATE || ': ' || regexp_replace(split_part(SQLERRM, E'\n', 1), '"[^"]*"|''[^'']*''', '…', 'g'), now() + interval '6 hours')
                ON CONFLICT (organization_id, component, step) DO UPDATE SET reason = excluded.reason, attempts = q.attempts + 1,
                    failed_last_at = now(), retry_at = excluded.retry_at;
        END;
    END LOOP;
    RETURN failed;
END
$$;

-- Drops expired partitions and returns their names; sums of ledger rows are kept in ledger_seals. Waits two seconds for a table,
-- because later transactions queue behind the lock; a table that stays locked is left to the next run. Does nothing while a rebuild
-- reads the ledger. If sealing a partition fails, seals one organization at a time, and keeps the rows of those that fail.
CREATE FUNCTION drop_expired_partitions(today date) RETURNS SETOF text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET lock_timeout = '2s' AS $$
DECLARE
    expired record;
    failed integer[] := '{}';
    failed_here integer[];
    is_wanted boolean;
    before timestamptz := (today - 466)::timestamp AT TIME ZONE 'UTC';
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('flexcredits.partitions'));
    IF NOT pg_try_advisory_xact_lock(hashtext('flexcredits.rebuild')) THEN
        RETURN;
    END IF;
    FOR expired IN SELECT * FROM expired_partitions(today) WHERE NOT waits LOOP
        failed_here := '{}';
        BEGIN
            IF expired.ledger_bucket IS NOT NULL THEN
                EXECUTE format('LOCK TABLE ONLY %I IN ACCESS EXCLUSIVE MODE', expired.name);
                -- A transaction may have inserted into the partition since it was listed.
                EXECUTE format('SELECT EXISTS (SELECT FROM %I WHERE held OR received_at >= $1)', expired.name) INTO is_wanted USING before;
                CONTINUE WHEN is_wanted;
                BEGIN
                    EXECUTE format('INSERT INTO ledger_seals AS t (ledger_bucket, organization_id, events, credits)
                                    SELECT ledger_bucket, organization_id, count(*) FILTER (WHERE corrects IS NULL), sum(credits)
                                    FROM %I WHERE NOT held GROUP BY 1, 2
                                    ON CONFLICT (ledger_bucket, organization_id)
                                    DO UPDATE SET events = t.events + excluded.events, credits = t.credits + excluded.credits, sealed_at = now()',
                                   expired.name);
                EXCEPTION
                    WHEN lock_not_available OR serialization_failure OR deadlock_detected THEN RAISE;
                    WHEN OTHERS THEN failed_here := seal_ledger_rows(expired.name, NULL);
                END;
            END IF;
            IF failed_here = '{}' THEN
                EXECUTE format('DROP TABLE %I', expired.name);
            END IF;
        EXCEPTION WHEN lock_not_available THEN
            EXIT;
        END;
        IF failed_here = '{}' THEN
            RETURN NEXT expired.name;
        END IF;
        failed := failed || failed_here;
    END LOOP;
    BEGIN
        WITH deleted AS (
            DELETE FROM usage_ledger WHERE ledger_bucket BETWEEN -16 AND -1 AND received_at < before AND NOT held
            RETURNING ledger_bucket, organization_id, credits, corrects
        )
        INSERT INTO ledger_seals AS t (ledger_bucket, organization_id, events, credits)
        SELECT ledger_bucket, organization_id, count(*) FILTER (WHERE corrects IS NULL), sum(credits) FROM deleted GROUP BY 1, 2
        ON CONFLICT (ledger_bucket, organization_id)
        DO UPDATE SET events = t.events + excluded.events, credits = t.credits + excluded.credits, sealed_at = now();
    EXCEPTION
        WHEN lock_not_available OR serialization_failure OR deadlock_detected THEN RAISE;
        WHEN OTHERS THEN
            FOR expired IN SELECT 'usage_ledger_hash_' || n AS name FROM generate_series(1, 16) AS n LOOP
                failed := failed || seal_ledger_rows(expired.name, before);
            END LOOP;
    END;
    -- received_at is when the id was first named, possibly by a correction; its row may have come much later.
    DELETE FROM ledger_strays s
    WHERE s.received_at < before
        AND NOT EXISTS (SELECT FROM usage_held h WHERE (h.ledger_bucket, h.identity) = (s.ledger_bucket, s.identity))
        AND NOT EXISTS (SELECT FROM usage_held h WHERE (h.corrects_bucket, h.corrects) = (s.ledger_bucket, s.identity))
        AND NOT EXISTS (SELECT FROM usage_ledger l WHERE l.ledger_bucket BETWEEN -16 AND -1
            AND (l.ledger_bucket, l.identity) = (s.ledger_bucket, s.identity));
    DELETE FROM quarantine WHERE component = 'retention' AND organization_id <> ALL (failed);
END
$$;

-- Deletes at most `most` runs whose last use is past the window on a day; returns their number. first_at is in the index, and never
-- later than last_at.
CREATE FUNCTION delete_expired_runs(today date, most integer) RETURNS bigint
    LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    WITH expired AS MATERIALIZED (
        SELECT r.organization_id, r.run
        FROM organizations o CROSS JOIN LATERAL (
            SELECT organization_id, run FROM usage_runs
            WHERE organization_id = o.organization_id AND first_at < (today - 466)::timestamp AT TIME ZONE 'UTC'
                AND last_at < (today - 466)::timestamp AT TIME ZONE 'UTC'
            LIMIT most) AS r
        LIMIT most
    ), deleted AS (
        DELETE FROM usage_runs t USING expired e WHERE (t.organization_id, t.run) = (e.organization_id, e.run)
            AND t.last_at < (today - 466)::timestamp AT TIME ZONE 'UTC'
        RETURNING 1
    )
    SELECT count(*) FROM deleted
$$;

REVOKE EXECUTE ON FUNCTION ensure_ledger_partition, ensure_rollup_partition, ensure_partitions, expired_partitions, seal_ledger_rows,
    drop_expired_partitions, delete_expired_runs FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ensure_ledger_partition, ensure_rollup_partition, ensure_partitions, expired_partitions,
    drop_expired_partitions, delete_expired_runs TO flexcredits_aggregator;

SELECT ensure_partitions(current_date);
