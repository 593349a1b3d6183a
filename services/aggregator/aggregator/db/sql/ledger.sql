-- Counts each identity once: usage_ledger, its partitions, and ledger_strays. For the lock order see progress.sql.

-- name: lock_ledger
-- Preserves the set of the ledger's partitions until the transaction ends: adding or dropping one locks the whole
-- table.
LOCK TABLE ONLY usage_ledger IN ROW EXCLUSIVE MODE

-- name: select_ledger_days
-- The days since 1970, of these, that have a ledger partition now.
SELECT day FROM unnest($1::integer[]) AS day
WHERE to_regclass('usage_ledger_' || to_char(date '1970-01-01' + day, 'YYYYMMDD')) IS NOT NULL

-- name: insert_strays
-- Records identities that lie in a hash partition because the day inside their id has no partition.
INSERT INTO ledger_strays (id_day, ledger_bucket, identity, received_at)
SELECT id_day, ledger_bucket, identity, to_timestamp(received)
FROM unnest($1::integer[], $2::integer[], $3::uuid[], $4::float8[]) AS d(id_day, ledger_bucket, identity, received)
ON CONFLICT DO NOTHING

-- name: ensure_partitions
-- Creates time partitions ahead.
SELECT ensure_partitions($1)

-- name: drop_expired_partitions
-- Drops time partitions past the window, and deletes other ledger rows that old.
SELECT drop_expired_partitions($1) AS name

-- name: insert_ledger
-- Claims identities and returns the rows that were new. A row without credits is held.
-- Rows are sorted by key, so that two batches never deadlock, and the first of the copies in one batch wins.
INSERT INTO usage_ledger (ledger_bucket, identity, organization_id, series_id, occurred_at, credits, held, received_at,
    kafka_partition, kafka_offset, rate_id, quantity, corrects_bucket, corrects, attribution_id, run, quantities)
SELECT ledger_bucket, identity, organization_id, series_id, to_timestamp(occurred), coalesce(credits, 0), credits IS NULL,
    to_timestamp(received), kafka_partition, kafka_offset, rate_id, quantity, corrects_bucket, corrects, attribution_id, run,
    quantities
FROM unnest($1::integer[], $2::uuid[], $3::integer[], $4::integer[], $5::float8[], $6::bigint[], $7::float8[],
    $8::integer[], $9::bigint[], $10::integer[], $11::bigint[], $12::integer[], $13::uuid[], $14::bigint[], $15::uuid[],
    $16::jsonb[])
    AS d(ledger_bucket, identity, organization_id, series_id, occurred, credits, received,
         kafka_partition, kafka_offset, rate_id, quantity, corrects_bucket, corrects, attribution_id, run, quantities)
ORDER BY ledger_bucket, identity, kafka_partition, kafka_offset
ON CONFLICT DO NOTHING
RETURNING kafka_partition, kafka_offset

-- name: select_ledger
-- The contents that copies of these events must have, in one ledger partition.
-- A held row has its credits or unit in usage_held, and a rated one its unit in its rate. Several quantities have their
-- units with them.
SELECT identity, series_id, floor(extract(epoch FROM occurred_at) * 1000)::bigint AS occurred_ms, quantity, corrects,
    attribution_id, run, quantities,
    CASE WHEN quantities IS NOT NULL THEN NULL
        WHEN held THEN (SELECT h.credits FROM usage_held h WHERE (h.ledger_bucket, h.identity) = (l.ledger_bucket, l.identity))
        WHEN quantity IS NULL THEN credits END AS credits,
    CASE WHEN quantities IS NOT NULL THEN NULL
        WHEN held THEN (SELECT h.unit FROM usage_held h WHERE (h.ledger_bucket, h.identity) = (l.ledger_bucket, l.identity))
        WHEN quantity IS NOT NULL THEN (SELECT r.unit FROM rates r WHERE r.rate_id = l.rate_id) END AS unit
FROM usage_ledger l WHERE ledger_bucket = $1 AND identity = ANY($2::uuid[])

-- name: lock_originals
-- Locks the originals of corrections, so that concurrent corrections of one event see each other.
SELECT identity, series_id, credits, coalesce(corrected, 0) AS corrected, held, corrects IS NOT NULL AS is_correction,
    attribution_id, run
FROM usage_ledger WHERE ledger_bucket = $1 AND identity = ANY($2::uuid[]) ORDER BY identity FOR UPDATE

-- name: add_corrected
-- Adds the credits of corrections to the rows of their originals.
-- ANY finds them by index: a join alone reads all rows of the day.
UPDATE usage_ledger AS l SET corrected = coalesce(l.corrected, 0) + d.credits
FROM (SELECT identity, sum(credits)::bigint AS credits FROM unnest($2::uuid[], $3::bigint[]) AS u(identity, credits) GROUP BY 1) AS d
WHERE l.ledger_bucket = $1 AND l.identity = ANY($2::uuid[]) AND l.identity = d.identity

-- name: delete_expired_rows
-- Deletes at most $2 ledger rows past the window whose ids have no day.
SELECT delete_expired_rows($1, $2) AS deleted

-- name: delete_expired_runs
-- Deletes at most $2 runs whose last use is past the window of the ledger.
SELECT delete_expired_runs($1, $2) AS deleted

-- name: insert_reasons
-- Stores the reasons of corrections. One that was held and then rejected may be sent again under its identity.
INSERT INTO correction_reasons (ledger_bucket, identity, organization_id, reason)
SELECT * FROM unnest($1::integer[], $2::uuid[], $3::integer[], $4::text[])
ON CONFLICT (ledger_bucket, identity) DO UPDATE SET organization_id = excluded.organization_id, reason = excluded.reason
