-- Retention goes on where one organization's rows fail: they stay, everybody else's are sealed and leave.

-- Seals and removes the counted rows of a ledger partition that are older than `before` (null: all), organization by
-- organization; returns those whose rows fail and stay.
CREATE FUNCTION seal_ledger_rows(partition_name text, before timestamptz) RETURNS integer[]
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    organization integer;
    failed integer[] := '{}';
BEGIN
    FOR organization IN EXECUTE format('SELECT DISTINCT organization_id FROM %I WHERE NOT held AND ($1 IS NULL OR received_at < $1)', partition_name)
        USING before LOOP
        BEGIN
            EXECUTE format('WITH forgotten AS (
                    DELETE FROM %I WHERE organization_id = $1 AND NOT held AND ($2 IS NULL OR received_at < $2)
                    RETURNING ledger_bucket, organization_id, credits, corrects)
                INSERT INTO ledger_seals AS t (ledger_bucket, organization_id, events, credits)
                SELECT ledger_bucket, organization_id, count(*) FILTER (WHERE corrects IS NULL), sum(credits) FROM forgotten GROUP BY 1, 2
                ON CONFLICT (ledger_bucket, organization_id)
                DO UPDATE SET events = t.events + excluded.events, credits = t.credits + excluded.credits, sealed_at = now()', partition_name)
                USING organization, before;
        EXCEPTION
            WHEN lock_not_available OR serialization_failure OR deadlock_detected THEN RAISE;
            WHEN OTHERS THEN
                -- A full disk or a missing column is nobody's data: runtime/isolation.py has the same classes.
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
REVOKE EXECUTE ON FUNCTION seal_ledger_rows FROM PUBLIC;

-- As in 0022, but organization by organization where sealing them all fails.
CREATE OR REPLACE FUNCTION drop_expired_partitions(today date) RETURNS SETOF text
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
                -- Somebody may have written into it since it was found.
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
        WITH forgotten AS (
            DELETE FROM usage_ledger WHERE ledger_bucket BETWEEN -16 AND -1 AND received_at < before AND NOT held
            RETURNING ledger_bucket, organization_id, credits, corrects
        )
        INSERT INTO ledger_seals AS t (ledger_bucket, organization_id, events, credits)
        SELECT ledger_bucket, organization_id, count(*) FILTER (WHERE corrects IS NULL), sum(credits) FROM forgotten GROUP BY 1, 2
        ON CONFLICT (ledger_bucket, organization_id)
        DO UPDATE SET events = t.events + excluded.events, credits = t.credits + excluded.credits, sealed_at = now();
    EXCEPTION
        WHEN lock_not_available OR serialization_failure OR deadlock_detected THEN RAISE;
        WHEN OTHERS THEN
            FOR expired IN SELECT 'usage_ledger_hash_' || n AS name FROM generate_series(1, 16) AS n LOOP
                failed := failed || seal_ledger_rows(expired.name, before);
            END LOOP;
    END;
    -- An entry says when its id was first named, by a correction perhaps; its row may have come much later.
    DELETE FROM ledger_strays s
    WHERE s.received_at < before
        AND NOT EXISTS (SELECT FROM usage_held h WHERE (h.ledger_bucket, h.identity) = (s.ledger_bucket, s.identity))
        AND NOT EXISTS (SELECT FROM usage_held h WHERE (h.corrects_bucket, h.corrects) = (s.ledger_bucket, s.identity))
        AND NOT EXISTS (SELECT FROM usage_ledger l WHERE l.ledger_bucket BETWEEN -16 AND -1
            AND (l.ledger_bucket, l.identity) = (s.ledger_bucket, s.identity));
    DELETE FROM quarantine WHERE component = 'retention' AND organization_id <> ALL (failed);
END
$$;
