-- Take organizations that something changed for; they come back if this transaction fails. 0 stands for all.
DELETE FROM alert_wakeups WHERE wakeup_id IN (
    SELECT wakeup_id FROM alert_wakeups ORDER BY wakeup_id LIMIT $1 FOR UPDATE SKIP LOCKED)
RETURNING organization_id
