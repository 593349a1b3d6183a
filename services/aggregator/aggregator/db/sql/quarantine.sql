-- Organizations for which a step fails, and their records. For the lock order see progress.sql.

-- name: lock_quarantined
-- The organizations, of these, whose usage is put aside. None leaves quarantine until the transaction ends.
SELECT o.organization FROM quarantine q JOIN organizations o USING (organization_id)
WHERE q.component = 'aggregator' AND q.step = 'counting' AND o.organization = ANY($1::text[])
ORDER BY q.organization_id FOR SHARE OF q

-- name: upsert_quarantine
-- Records that a step failed for these organizations, to be retried after growing waits of at most 15 minutes.
-- The limit of sums is not retried, unless an operator requests it.
INSERT INTO quarantine AS q (organization_id, component, step, reason, retry_at)
SELECT organization_id, 'aggregator', $1, reason, CASE WHEN $1 = 'sums' THEN 'infinity' ELSE now() + interval '5 s' END
FROM unnest($2::integer[], $3::text[]) AS d(organization_id, reason) ORDER BY organization_id
ON CONFLICT (organization_id, component, step) DO UPDATE SET reason = excluded.reason, attempts = q.attempts + 1, failed_last_at = now(),
    retry_at = CASE WHEN $1 = 'sums' THEN 'infinity' ELSE now() + make_interval(secs => least(900, 5 * 2 ^ least(q.attempts, 10))) END

-- name: select_waiting
-- The organizations, of these, with catalog events that wait: further ones wait behind them.
SELECT o.organization FROM quarantine q JOIN organizations o USING (organization_id)
WHERE q.component = 'aggregator' AND q.step = 'catalog' AND o.organization = ANY($1::text[])

-- name: await_turn
-- Records that catalog events of these organizations wait for their turn, which is due at once. None has failed.
INSERT INTO quarantine (organization_id, component, step, reason, attempts, retry_at)
SELECT organization_id, 'aggregator', 'catalog', 'none failed: there are more catalog events than are applied at once', 0, now()
FROM unnest($1::integer[]) AS organization_id ORDER BY organization_id
ON CONFLICT (organization_id, component, step) DO UPDATE SET retry_at = now()

-- name: insert_quarantined_records
-- Stores records of organizations in quarantine, byte for byte.
INSERT INTO quarantined_records (topic, organization_id, partition, kafka_offset, key, value, headers, received_at)
SELECT $1, organization_id, partition, kafka_offset, key, value, headers::json, to_timestamp(received)
FROM unnest($2::integer[], $3::integer[], $4::bigint[], $5::bytea[], $6::bytea[], $7::text[], $8::float8[])
    AS d(organization_id, partition, kafka_offset, key, value, headers, received)

-- name: count_failing
-- For each step of the aggregator, the number of organizations for which it fails, and of all known ones.
-- The limit of sums is not a failure, and neither is the wait for a turn.
SELECT step, count(*) AS failing, (SELECT count(*) FROM organizations WHERE organization_id > 0) AS known
FROM quarantine WHERE component = 'aggregator' AND step <> 'sums' AND attempts > 0 GROUP BY step ORDER BY step

-- name: insert_unknown_zones
-- Records organizations whose usage is held because the rules of their time zone are unknown.
-- Only another zone or another release resolves this.
INSERT INTO quarantine (organization_id, component, step, reason, retry_at)
SELECT organization_id, 'aggregator', 'time_zone', reason, 'infinity' FROM unnest($1::integer[], $2::text[]) AS d(organization_id, reason)
ORDER BY organization_id ON CONFLICT DO NOTHING

-- name: delete_known_zones
-- Deletes the entries of all organizations but these, because their time zones are known.
DELETE FROM quarantine WHERE component = 'aggregator' AND step = 'time_zone' AND organization_id <> ALL($1::integer[])

-- name: count_quarantined
-- The number of organizations for which each component fails.
SELECT component, count(DISTINCT organization_id) AS organizations FROM quarantine WHERE attempts > 0 GROUP BY component

-- name: select_due
-- Organizations for which a step is due to be retried.
SELECT q.organization_id, o.organization, q.step, q.attempts FROM quarantine q JOIN organizations o USING (organization_id)
WHERE q.component = 'aggregator' AND q.step = ANY($1::text[]) AND q.retry_at <= now() ORDER BY q.organization_id, q.step

-- name: wait_shortly
-- Limits lock waits of the next statements, because this transaction holds locks that all batches need.
SET LOCAL lock_timeout = '500ms'

-- name: lock_due
-- Locks the quarantine of an organization, which no process changes until the transaction ends.
-- Returns no row if another process was faster.
SELECT attempts FROM quarantine
WHERE organization_id = $1 AND component = 'aggregator' AND step = $2 AND retry_at <= now() FOR UPDATE

-- name: wait_as_usual
-- Ends wait_shortly: the limit of the aggregator's pool again. DEFAULT would be that of the server, behind a pooler.
SET LOCAL lock_timeout = '15s'

-- name: select_quarantined_records
-- The first records of an organization in quarantine, in the order of the log.
SELECT topic, partition, kafka_offset, key, value, headers, extract(epoch FROM received_at)::float8 AS received
FROM quarantined_records WHERE organization_id = $1 AND topic = $2 ORDER BY partition, kafka_offset LIMIT $3

-- name: select_quarantined_catalog_events
-- The next catalog events of an organization in quarantine after offset $3, as the catalog topic has them.
SELECT topic, partition, kafka_offset, key, value, headers, extract(epoch FROM received_at)::float8 AS received
FROM quarantined_records WHERE organization_id = $1 AND topic = $2 AND partition = 0 AND kafka_offset > $3 ORDER BY kafka_offset LIMIT $4

-- name: delete_quarantined_records
-- Deletes records that are applied; returns those that still existed.
DELETE FROM quarantined_records WHERE topic = $1 AND (partition, kafka_offset) IN (SELECT * FROM unnest($2::integer[], $3::bigint[]))
RETURNING partition

-- name: release_quarantine
-- Ends the quarantine of the organization unless records are left; returns whether it has ended.
DELETE FROM quarantine WHERE organization_id = $1 AND component = 'aggregator' AND step = $2
    AND NOT EXISTS (SELECT FROM quarantined_records WHERE organization_id = $1 AND topic = $3)
RETURNING organization_id

-- name: delete_quarantine
-- Deletes the entries of these organizations, because the step succeeded.
DELETE FROM quarantine WHERE component = 'aggregator' AND step = $1 AND organization_id = ANY($2::integer[])

-- name: retry_now
-- Makes all failed steps of these organizations due; 0 is all organizations. Runs when a catalog event arrives.
UPDATE quarantine SET retry_at = now()
WHERE retry_at > now() AND retry_at < 'infinity' AND (organization_id = ANY($1::integer[]) OR 0 = ANY($1::integer[]))
