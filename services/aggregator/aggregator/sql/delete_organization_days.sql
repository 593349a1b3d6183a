-- Before they are made anew from the days of the series.
DELETE FROM usage_organization_daily WHERE organization_id = $1
