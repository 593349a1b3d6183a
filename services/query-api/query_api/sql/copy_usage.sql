-- Daily usage within a stretch of days, what was used and what corrections changed each on a line of its own, named by labels. The client writes the values into the text of this statement, so no sentence here may name one of them by its number.
SELECT used.day AS date, label.product, label.kind, label.category, label.category_now, label.feature, label.feature_name,
    label.agent_id, label.agent_name, label.agent_status, label.surface, line.line, line.credits * 0.000001 AS credits, line.events,
    $4::text AS organization_id, $5::text AS time_zone
FROM unnest($6::integer[], $7::date[], $8::date[], $9::text[], $10::text[], $11::text[], $12::text[], $13::text[], $14::text[],
        $15::text[], $16::text[], $17::text[], $18::text[]) WITH ORDINALITY
    AS label(series_id, first, last, product, kind, category, category_now, feature, feature_name, agent_id, agent_name, agent_status,
        surface, position)
JOIN usage_daily AS used ON used.series_id = label.series_id AND used.day BETWEEN label.first AND label.last
LEFT JOIN usage_corrections AS corrected
    ON (corrected.organization_id, corrected.day, corrected.series_id) = (used.organization_id, used.day, used.series_id)
    AND corrected.organization_id = $1 AND corrected.day BETWEEN $2 AND $3
CROSS JOIN LATERAL (VALUES
    (1, 'usage', used.credits - coalesce(corrected.credits, 0), used.events),
    (2, 'correction', corrected.credits, 0)) AS line(number, line, credits, events)
WHERE used.organization_id = $1 AND used.day BETWEEN $2 AND $3 AND (line.credits <> 0 OR line.events <> 0)
ORDER BY used.day, label.position, line.number
