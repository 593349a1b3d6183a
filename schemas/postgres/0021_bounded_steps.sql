-- upgrade: nothing to stop; rates wait until their indexes are built.
-- What one organization sends makes no single step long: rates with `part_of`, and expired ledger rows without a day.

-- Finds the newest rates of a unit: a rate with part_of does not read all rates of its organization.
CREATE INDEX rates_by_unit ON rates (organization_id, product, feature_kind, unit, feature, catalog_offset);
-- Finds new rates: every aggregator reads them after each catalog event.
CREATE INDEX rates_by_offset ON rates (catalog_offset);

-- Deletes at most `most` counted ledger rows past the window on a day whose ids have no day, and keeps their sums in ledger_seals.
-- Returns their number. 0 also while a rebuild reads the ledger, and if the rows of some organization fail: these are left to
-- drop_expired_partitions().
CREATE FUNCTION delete_expired_rows(today date, most integer) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    number bigint := 0;
    part bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('flexcredits.partitions'));
    IF NOT pg_try_advisory_xact_lock(hashtext('flexcredits.rebuild')) THEN
        RETURN 0;
    END IF;
    FOR n IN 1..16 LOOP
        EXECUTE format('WITH deleted AS (
                DELETE FROM %1$I WHERE NOT held AND received_at < $1
                    AND ctid = ANY (ARRAY(SELECT ctid FROM %1$I WHERE NOT held AND received_at < $1 LIMIT $2))
                RETURNING ledger_bucket, organization_id, credits, corrects
            ), sealed AS (
                INSERT INTO ledger_seals AS t (ledger_bucket, organization_id, events, credits)
                SELECT ledger_bucket, organization_id, count(*) FILTER (WHERE corrects IS NULL), sum(credits) FROM deleted GROUP BY 1, 2
                ON CONFLICT (ledger_bucket, organization_id)
                DO UPDATE SET events = t.events + excluded.events, credits = t.credits + excluded.credits, sealed_at = now()
            )
            SELECT count(*) FROM deleted', 'usage_ledger_hash_' || n)
            INTO part USING (today - 466)::timestamp AT TIME ZONE 'UTC', most - number;
        number := number + part;
        EXIT WHEN number >= most;
    END LOOP;
    RETURN number;
EXCEPTION
    WHEN lock_not_available OR serialization_failure OR deadlock_detected THEN RAISE;
    WHEN OTHERS THEN RETURN 0;
END
$$;
REVOKE EXECUTE ON FUNCTION delete_expired_rows FROM PUBLIC;
GRANT EXECUTE ON FUNCTION delete_expired_rows TO flexcredits_aggregator;
