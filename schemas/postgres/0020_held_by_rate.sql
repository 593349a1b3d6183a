-- upgrade: nothing to stop; usage that must be held, the batches with it, its release, and questions about held usage wait until the table is rewritten, some seconds per million held events.
-- Finds held usage by what completes it, so that an organization with very many kinds of held usage delays no other one's release.

ALTER TABLE usage_held ADD COLUMN rate_key text COLLATE "C" NOT NULL
    GENERATED ALWAYS AS (CASE WHEN unit IS NULL THEN '' ELSE unit || chr(31) || coalesce(feature, '') END) STORED;
COMMENT ON COLUMN usage_held.rate_key IS 'The unit and the own feature, if any, whose rate the usage waits for; empty if it has credits or may have all of its rates.';

DROP INDEX usage_held_waiting;
-- Usage beyond the limit of sums may be millions of rows: searches for releasable usage leave it out. No other index has this order,
-- not even its beginning, so no plan reads all held usage to sort it.
CREATE INDEX usage_held_by_rate ON usage_held
    (organization_id NULLS FIRST, rate_key, series_id, kafka_partition NULLS FIRST, kafka_offset) WHERE waits_for <> 'sum_limit';
