-- Micro-credits of the organization's counted events: those in the ledger, and the sealed sums of days that left it.
SELECT (coalesce((SELECT sum(credits) FROM usage_ledger WHERE organization_id = $1 AND NOT held), 0)
      + coalesce((SELECT sum(credits) FROM ledger_seals WHERE organization_id = $1), 0))::bigint
