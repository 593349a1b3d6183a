-- Who is mailed for a role: those who may look at the dashboard. $2: whether Billing Moderators of this deployment may.
SELECT DISTINCT lower(m.email) AS recipient FROM members m JOIN organizations o USING (organization_id)
WHERE m.organization_id = $1 AND NOT m.removed
    AND (m.role IN ('super_admin', 'admin') OR (m.role = 'billing_moderator' AND o.billing_moderator_enabled AND $2))
ORDER BY 1
