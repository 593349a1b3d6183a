-- Who may do what. The API reads one organization per transaction; row-level security holds even when a WHERE is forgotten.

GRANT SELECT ON api_keys TO flexcredits_ingest;

GRANT SELECT, INSERT, UPDATE ON organizations, contracts, members, agents, agent_sightings, features, usage_ledger,
    usage_15m, usage_daily, usage_organization_daily, partition_progress, dead_letter_outbox TO flexcredits_aggregator;
GRANT SELECT, INSERT ON usage_series, rates, alert_wakeups TO flexcredits_aggregator;
GRANT DELETE ON usage_ledger TO flexcredits_aggregator;  -- a held correction that is rejected at last
GRANT SELECT, INSERT, UPDATE, DELETE ON usage_held TO flexcredits_aggregator;
GRANT SELECT, INSERT, DELETE ON credit_periods, add_ons, totals_outbox TO flexcredits_aggregator;
GRANT EXECUTE ON FUNCTION ensure_ledger_partition, ensure_rollup_partition, ensure_partitions, drop_expired_partitions
    TO flexcredits_aggregator;
REVOKE EXECUTE ON FUNCTION ensure_ledger_partition, ensure_rollup_partition, ensure_partitions, drop_expired_partitions
    FROM PUBLIC;

GRANT SELECT ON organizations, contracts, credit_periods, add_ons, members, agents, agent_sightings, features, rates,
    usage_series, usage_ledger, ledger_seals, usage_held, usage_15m, usage_daily, usage_organization_daily, partition_progress
    TO flexcredits_api;

DO $$
DECLARE
    customer_table text;
BEGIN
    FOREACH customer_table IN ARRAY ARRAY['organizations', 'contracts', 'credit_periods', 'add_ons', 'members', 'agents',
        'agent_sightings', 'features', 'rates', 'usage_series', 'usage_ledger', 'usage_held', 'usage_15m', 'usage_daily',
        'usage_organization_daily', 'ledger_seals'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', customer_table);
        EXECUTE format('CREATE POLICY aggregator ON %I TO flexcredits_aggregator USING (true) WITH CHECK (true)', customer_table);
        -- Deployment-wide features and rates (organization 0) are everybody's.
        EXECUTE format('CREATE POLICY one_organization ON %I FOR SELECT TO flexcredits_api USING (organization_id = (SELECT app_organization_id()) %s)',
                       customer_table, CASE WHEN customer_table IN ('features', 'rates') THEN 'OR (organization_id = 0 AND (SELECT app_organization_id()) IS NOT NULL)' ELSE '' END);
    END LOOP;
END
$$;
