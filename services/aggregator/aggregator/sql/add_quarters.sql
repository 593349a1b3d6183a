-- Add to the quarter-hour rollup. Only for newly counted events: insert_ledger guards that.
INSERT INTO usage_15m AS t (organization_id, bucket_at, series_id, credits, events)
SELECT organization_id, to_timestamp(bucket * 900.0), series_id, credits, events
FROM unnest($1::integer[], $2::integer[], $3::integer[], $4::bigint[], $5::bigint[])
    AS d(organization_id, bucket, series_id, credits, events)
ORDER BY organization_id, bucket, series_id
ON CONFLICT (organization_id, bucket_at, series_id)
DO UPDATE SET credits = t.credits + excluded.credits, events = t.events + excluded.events
