-- Ids whose day is far from their receipt: made long before their use, or by a wrong clock. They count like any other, in a hash
-- partition while the ledger has no partition of their day. aggregator/places.py says why no copy is counted twice.

CREATE TABLE ledger_strays (
    id_day integer NOT NULL,
    ledger_bucket integer NOT NULL,
    identity uuid NOT NULL,
    received_at timestamptz NOT NULL,
    PRIMARY KEY (id_day, ledger_bucket, identity)
);
COMMENT ON TABLE ledger_strays IS 'Writer: aggregator. Identities that lie in a hash partition of the ledger because the day inside their id, in days since 1970, has no partition; ensure_ledger_partition() moves them when it gets one.';
GRANT SELECT, INSERT ON ledger_strays TO flexcredits_aggregator;

-- As before, and what lies elsewhere for the lack of this partition moves into it. Creating it has locked the whole ledger, so
-- no transaction is under way that could still place a copy elsewhere. More rows than can be moved in seconds stay, and that
-- day goes on without a partition: usage of it is placed a little slower, and counts once like any other.
CREATE OR REPLACE FUNCTION ensure_ledger_partition(bucket integer) RETURNS void
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
        RAISE WARNING 'more than % rows lie outside of %: it is not made', strays_max, partition_name;
        RETURN;
    END IF;
    EXECUTE format('CREATE TABLE %I PARTITION OF usage_ledger FOR VALUES IN (%s)', partition_name, bucket);
    IF bucket < 0 THEN
        -- Ids without a day are forgotten row by row; what is old lies together.
        EXECUTE format('CREATE INDEX ON %I USING brin (received_at)', partition_name);
        RETURN;
    END IF;
    IF EXISTS (SELECT FROM ledger_strays WHERE id_day = bucket) THEN
        UPDATE usage_ledger l SET ledger_bucket = bucket
            FROM ledger_strays s WHERE s.id_day = bucket AND (l.ledger_bucket, l.identity) = (s.ledger_bucket, s.identity)
                AND l.ledger_bucket BETWEEN -16 AND -1;
        -- Corrections may lie in any partition: they are looked for only where there are some.
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

-- As before, but a ledger day also waits while something of it was received in the last 466 days, or something held corrects it:
-- an old id may have been used for the first time yesterday, and its copies must meet it as long as those of any other id.
CREATE OR REPLACE FUNCTION expired_partitions(today date)
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

-- As before, and strays are forgotten with their rows.
CREATE OR REPLACE FUNCTION drop_expired_partitions(today date) RETURNS SETOF text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET lock_timeout = '2s' AS $$
DECLARE
    expired record;
    is_wanted boolean;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('flexcredits.partitions'));
    IF NOT pg_try_advisory_xact_lock(hashtext('flexcredits.rebuild')) THEN
        RETURN;
    END IF;
    FOR expired IN SELECT * FROM expired_partitions(today) WHERE NOT waits LOOP
        BEGIN
            IF expired.ledger_bucket IS NOT NULL THEN
                EXECUTE format('LOCK TABLE ONLY %I IN ACCESS EXCLUSIVE MODE', expired.name);
                -- Somebody may have written into it since it was found.
                EXECUTE format('SELECT EXISTS (SELECT FROM %I WHERE held OR received_at >= $1)', expired.name)
                    INTO is_wanted USING (today - 466)::timestamp AT TIME ZONE 'UTC';
                CONTINUE WHEN is_wanted;
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
    DELETE FROM ledger_strays s
    WHERE s.received_at < (today - 466)::timestamp AT TIME ZONE 'UTC'
        AND NOT EXISTS (SELECT FROM usage_held h WHERE h.identity = s.identity OR h.corrects = s.identity);
END
$$;
