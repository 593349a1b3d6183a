-- The organization's one banner. It may stand for a credit period that has ended, until the alerter takes it down.
SELECT contract_id, period_id, threshold, fired_at FROM banners WHERE organization_id = $1
