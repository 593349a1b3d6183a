-- The role that a fact gave to a member after an instant, if one did.
SELECT role FROM members WHERE organization_id = app_organization_id() AND email = $1 AND fact_at > $2 AND NOT removed
