-- A held correction that was rejected at last leaves its identity free: sent again, it brings its reason again.
GRANT UPDATE (organization_id, reason) ON correction_reasons TO flexcredits_aggregator;

-- A mail names what used most in a period of whole months and two edges of days.
GRANT SELECT ON usage_monthly TO flexcredits_alerter;
CREATE POLICY alerter ON usage_monthly FOR SELECT TO flexcredits_alerter USING (true);
