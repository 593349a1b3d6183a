-- Before they are made anew from the days.
DELETE FROM usage_organization_monthly WHERE organization_id = $1
