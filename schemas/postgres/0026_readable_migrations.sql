-- upgrade: nothing to stop
-- A service that starts checks whether the database has the tables of its release.

GRANT SELECT ON schema_migrations TO flexcredits_aggregator, flexcredits_alerter, flexcredits_ingest, flexcredits_api, flexcredits_rebuild;
