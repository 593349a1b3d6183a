-- The kind in the latest usage of an agent, and the name in the latest that gave one; ever_saved remembers that it once was a saved one.
INSERT INTO agent_sightings AS t (organization_id, agent_id, kind, name, ever_saved, seen_at, named_at)
SELECT organization_id, agent_id, kind, name, ever_saved, to_timestamp(seen), to_timestamp(named)
FROM unnest($1::integer[], $2::text[], $3::text[], $4::text[], $5::boolean[], $6::float8[], $7::float8[])
    AS d(organization_id, agent_id, kind, name, ever_saved, seen, named)
ON CONFLICT (organization_id, agent_id) DO UPDATE SET
    ever_saved = t.ever_saved OR excluded.ever_saved,
    kind = CASE WHEN excluded.seen_at > t.seen_at THEN excluded.kind ELSE t.kind END,
    name = CASE WHEN excluded.named_at > coalesce(t.named_at, '-infinity') THEN excluded.name ELSE t.name END,
    named_at = greatest(t.named_at, excluded.named_at),
    seen_at = greatest(t.seen_at, excluded.seen_at)
