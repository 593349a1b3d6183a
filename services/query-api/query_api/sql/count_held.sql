-- Usage that waits for the organization, its rate or its original, for room in its sums, or for the end of its quarantine.
SELECT (SELECT count(*) FROM usage_held WHERE organization_id = $1)
    + (SELECT count(*) FROM quarantined_records WHERE organization_id = $1 AND topic = $2)
