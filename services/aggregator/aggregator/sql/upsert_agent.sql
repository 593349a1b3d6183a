-- A registry fact; the newest speaks, a deletion without a name keeps the last one, and any order leaves the same row.
INSERT INTO agents AS t (organization_id, agent_id, state, name, owner, ever_saved, fact_at, fact_offset)
VALUES ($1, $2, $3, $4, $5, $3 = 'saved', $6, $7)
ON CONFLICT (organization_id, agent_id) DO UPDATE SET
    ever_saved = t.ever_saved OR excluded.ever_saved,
    state = CASE WHEN (t.fact_at, t.fact_offset) < (excluded.fact_at, excluded.fact_offset) AND t.state <> 'system'
                 THEN excluded.state ELSE t.state END,
    name = CASE WHEN (t.fact_at, t.fact_offset) < (excluded.fact_at, excluded.fact_offset)
                THEN coalesce(excluded.name, t.name) ELSE coalesce(t.name, excluded.name) END,
    owner = CASE WHEN (t.fact_at, t.fact_offset) < (excluded.fact_at, excluded.fact_offset)
                 THEN coalesce(excluded.owner, t.owner) ELSE coalesce(t.owner, excluded.owner) END,
    fact_at = greatest(t.fact_at, excluded.fact_at),
    fact_offset = CASE WHEN (t.fact_at, t.fact_offset) < (excluded.fact_at, excluded.fact_offset)
                       THEN excluded.fact_offset ELSE t.fact_offset END
