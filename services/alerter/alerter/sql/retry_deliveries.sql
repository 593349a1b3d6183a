-- The deliveries of these organizations that could not be written ($2) are due now. What was deferred for another reason keeps its wait, and what is being sent has no attempt yet.
UPDATE alert_deliveries d SET due_at = now()
WHERE d.organization_id = ANY($1::integer[]) AND d.state = 'pending' AND d.due_at > now()
    AND EXISTS (SELECT FROM alert_delivery_attempts a WHERE a.delivery_id = d.delivery_id AND a.attempt = d.attempts AND a.detail = $2)
