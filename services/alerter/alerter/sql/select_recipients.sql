-- Whom an alert of rule $3 is mailed to: those who may look at the dashboard, $2: whether Billing Moderators of this deployment may, and whom the settings add. Who is both counts as the first.
SELECT DISTINCT ON (lower(told.address)) told.address, told.is_additional
FROM (
    SELECT lower(m.email) AS address, false AS is_additional FROM members m JOIN organizations o USING (organization_id)
    WHERE m.organization_id = $1 AND NOT m.removed
        AND (m.role IN ('super_admin', 'admin') OR (m.role = 'billing_moderator' AND o.billing_moderator_enabled AND $2))
    UNION ALL
    SELECT added.address, true
    FROM (SELECT * FROM alert_settings WHERE organization_id IN (0, $1) ORDER BY organization_id DESC LIMIT 1) AS s
    CROSS JOIN LATERAL unnest(CASE $3 WHEN 'usage' THEN s.usage_recipients ELSE s.budget_recipients END) AS added (address)
    WHERE CASE $3 WHEN 'usage' THEN s.usage_recipients_on ELSE s.budget_recipients_on END
) AS told
ORDER BY lower(told.address), told.is_additional, told.address
