-- Organizations for which a step fails, and their records. For the lock order see progress.sql.

-- name: lock_quarantined
-- Those of these organizations whose usage is put aside. None leaves quarantine until the transaction ends.
SELECT o.organization FROM quarantine q JOIN organizations o USING (organization_id)
WHERE q.component = 'aggregator' AND q.step = 'counting' AND o.organization = ANY($1::text[])
ORDER BY q.organization_id FOR SHARE OF q

-- name: upsert_quarantine
-- A step failed for these organizations. It is tried again with growing waits of at most a quarter of an hour. The
-- limit of sums does not heal: only an operator asks for it again.
INSERT INTO quarantine AS q (organization_id, component, step, reason, retry_at)
SELECT organization_id, 'aggregator', $1, reason, CASE WHEN $1 = 'sums' THEN 'infinity' ELSE now() + interval '5 s' END
FROM unnest($2::integer[], $3::text[]) AS d(organization_id, reason) ORDER BY organization_id
ON CONFLICT (organization_id, component, step) DO UPDATE SET reason = excluded.reason, attempts = q.attempts + 1, failed_last_at = now(),
    retry_at = CASE WHEN $1 = 'sums' THEN 'infinity' ELSE now() + make_interval(secs => least(900, 5 * 2 ^ least(q.attempts, 10))) END

-- name: insert_quarantined_records
-- Records of organizations in quarantine, byte for byte.
INSERT INTO quarantined_records (topic, organization_id, partition, kafka_offset, key, value, headers, received_at)
SELECT $1, organization_id, partition, kafka_offset, key, value, headers::json, to_timestamp(received)
FROM unnest($2::integer[], $3::integer[], $4::bigint[], $5::bytea[], $6::bytea[], $7::text[], $8::float8[])
    AS d(organization_id, partition, kafka_offset, key, value, headers, received)

-- name: count_failing
-- For how many of the known organizations each step of the aggregator fails. The limit of sums is no failure.
SELECT step, count(*) AS failing, (SELECT count(*) FROM organizations WHERE organization_id > 0) AS known
FROM quarantine WHERE component = 'aggregator' AND step <> 'sums' GROUP BY step ORDER BY step

-- name: insert_unknown_zones
-- Usage of these organizations is held: the rules of their time zone are unknown. Only another zone or release helps.
INSERT INTO quarantine (organization_id, component, step, reason, retry_at)
SELECT organization_id, 'aggregator', 'time_zone', reason, 'infinity' FROM unnest($1::integer[], $2::text[]) AS d(organization_id, reason)
ORDER BY organization_id ON CONFLICT DO NOTHING

-- name: delete_known_zones
-- The time zones of all organizations but these are known.
DELETE FROM quarantine WHERE component = 'aggregator' AND step = 'time_zone' AND organization_id <> ALL($1::integer[])

-- name: count_quarantined
-- For how many organizations each component fails.
SELECT component, count(DISTINCT organization_id) AS organizations FROM quarantine GROUP BY component

-- name: select_due
-- Organizations for which a step is to be tried again.
SELECT q.organization_id, o.organization, q.step, q.attempts FROM quarantine q JOIN organizations o USING (organization_id)
WHERE q.component = 'aggregator' AND q.step = ANY($1::text[]) AND q.retry_at <= now() ORDER BY q.organization_id, q.step

-- name: wait_shortly
-- What follows waits no longer than this for a lock: whoever asks holds what everybody needs.
SET LOCAL lock_timeout = '500ms'

-- name: lock_due
-- The organization's quarantine, which nobody joins or ends until the transaction ends. No row: another process was
-- faster.
SELECT attempts FROM quarantine
WHERE organization_id = $1 AND component = 'aggregator' AND step = $2 AND retry_at <= now() FOR UPDATE

-- name: wait_as_usual
-- The end of wait_shortly.
SET LOCAL lock_timeout TO DEFAULT

-- name: select_quarantined_records
-- The first records of an organization in quarantine, in the order of the log.
SELECT topic, partition, kafka_offset, key, value, headers, extract(epoch FROM received_at)::float8 AS received
FROM quarantined_records WHERE organization_id = $1 AND topic = $2 ORDER BY partition, kafka_offset LIMIT $3

-- name: select_quarantined_facts
-- The next facts of an organization in quarantine behind offset $3, as the catalog topic has them.
SELECT topic, partition, kafka_offset, key, value, headers, extract(epoch FROM received_at)::float8 AS received
FROM quarantined_records WHERE organization_id = $1 AND topic = $2 AND partition = 0 AND kafka_offset > $3 ORDER BY kafka_offset LIMIT $4

-- name: delete_quarantined_records
-- Records that are applied; returns which of them were still there.
DELETE FROM quarantined_records WHERE topic = $1 AND (partition, kafka_offset) IN (SELECT * FROM unnest($2::integer[], $3::bigint[]))
RETURNING partition

-- name: release_quarantine
-- Ends the organization's quarantine unless records are left; returns whether it has ended.
DELETE FROM quarantine WHERE organization_id = $1 AND component = 'aggregator' AND step = $2
    AND NOT EXISTS (SELECT FROM quarantined_records WHERE organization_id = $1 AND topic = $3)
RETURNING organization_id

-- name: delete_quarantine
-- A step succeeded for these organizations.
DELETE FROM quarantine WHERE component = 'aggregator' AND step = $1 AND organization_id = ANY($2::integer[])

-- name: retry_now
-- A fact came: whatever failed for its organization is tried at once; a deployment's fact concerns everybody.
UPDATE quarantine SET retry_at = now()
WHERE retry_at > now() AND retry_at < 'infinity' AND (organization_id = ANY($1::integer[]) OR 0 = ANY($1::integer[]))
