-- The organization's one banner, and the firing that it announces. It may stand for a credit period that has ended, until the alerter takes it down.
SELECT b.contract_id, b.period_id, b.threshold, b.fired_at, f.firing_id FROM banners b
LEFT JOIN alert_firings f ON f.rule = 'usage' AND (f.organization_id, f.contract_id, f.period_id, f.threshold, f.episode)
    = (b.organization_id, b.contract_id, b.period_id, b.threshold, b.episode)
WHERE b.organization_id = $1
