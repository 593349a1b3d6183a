-- Quarters of an hour since 1970 in which an organization used something.
SELECT DISTINCT (extract(epoch FROM bucket_at) / 900)::integer FROM usage_15m WHERE organization_id = $1
