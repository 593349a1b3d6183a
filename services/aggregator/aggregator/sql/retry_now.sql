-- A fact came: whatever failed for its organization is tried at once; a deployment's fact concerns everybody.
UPDATE quarantine SET retry_at = now()
WHERE retry_at > now() AND retry_at < 'infinity' AND (organization_id = ANY($1::integer[]) OR 0 = ANY($1::integer[]))
