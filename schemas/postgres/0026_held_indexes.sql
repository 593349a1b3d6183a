-- What is held is looked up without what is beyond the limit of sums, which may be millions of rows.
-- upgrade: while the indexes are made, seconds per million held events, batches that hold usage wait.

-- In a transaction of its own: nobody waits for the look at all rows.
ALTER TABLE usage_held VALIDATE CONSTRAINT usage_held_waits_for_check;

CREATE INDEX usage_held_waiting ON usage_held (organization_id, series_id, kafka_partition, kafka_offset) INCLUDE (unit)
    WHERE waits_for <> 'sum_limit';
CREATE INDEX usage_held_corrections ON usage_held (corrects, corrects_bucket) WHERE corrects IS NOT NULL;
