-- What was used: the ledger proves it, the rollups answer for it.

CREATE TABLE usage_series (
    series_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    organization_id integer NOT NULL REFERENCES organizations,
    product text NOT NULL,
    feature_kind text NOT NULL,
    feature text NOT NULL,
    agent_id text NOT NULL,
    surface text NOT NULL,
    UNIQUE (organization_id, product, feature_kind, feature, agent_id, surface)
);
COMMENT ON TABLE usage_series IS 'Writer: aggregator. One row per combination of dimensions; '''' where there is no agent or surface.';

CREATE TABLE usage_ledger (
    ledger_bucket integer NOT NULL,
    identity uuid NOT NULL,
    payload uuid NOT NULL,
    organization_id integer NOT NULL,
    series_id integer NOT NULL,
    occurred_at timestamptz NOT NULL,
    credits bigint NOT NULL,
    received_at timestamptz NOT NULL,
    kafka_offset bigint NOT NULL,
    kafka_partition integer NOT NULL,
    held boolean NOT NULL,
    rate_id integer,
    quantity bigint,
    corrected bigint,
    corrects_bucket integer,
    corrects uuid,
    PRIMARY KEY (ledger_bucket, identity)
) PARTITION BY LIST (ledger_bucket);
COMMENT ON TABLE usage_ledger IS 'Writer: aggregator. One row per event identity, counted or held. corrected is the sum of an event''s corrections, so that original plus corrections never falls below 0. Credits and quantity in millionths.';

CREATE TABLE usage_held (
    ledger_bucket integer NOT NULL,
    identity uuid NOT NULL,
    organization_id integer NOT NULL,
    series_id integer NOT NULL,
    occurred_at timestamptz NOT NULL,
    credits bigint,
    quantity bigint,
    unit text,
    kafka_partition integer NOT NULL,
    kafka_offset bigint NOT NULL,
    waits_for text NOT NULL CHECK (waits_for IN ('organization', 'rate', 'original')),
    corrects_bucket integer,
    corrects uuid,
    value bytea,
    PRIMARY KEY (ledger_bucket, identity)
);
CREATE INDEX usage_held_by_organization ON usage_held (organization_id, series_id, kafka_partition, kafka_offset);
COMMENT ON TABLE usage_held IS 'Writer: aggregator. Usage that waits for its organization, rate or original; a row leaves in the transaction that counts it. value is the record of a correction, which may still be rejected.';

CREATE TABLE usage_15m (
    organization_id integer NOT NULL,
    bucket_at timestamptz NOT NULL,
    series_id integer NOT NULL,
    credits bigint NOT NULL,
    events bigint NOT NULL,
    PRIMARY KEY (organization_id, bucket_at, series_id)
) PARTITION BY RANGE (bucket_at);
COMMENT ON TABLE usage_15m IS 'Writer: aggregator. Micro-credits per quarter of an hour, UTC.';

CREATE TABLE usage_daily (
    organization_id integer NOT NULL,
    day date NOT NULL,
    series_id integer NOT NULL,
    credits bigint NOT NULL,
    events bigint NOT NULL,
    PRIMARY KEY (organization_id, day, series_id)
) WITH (fillfactor = 80);
COMMENT ON TABLE usage_daily IS 'Writer: aggregator. Micro-credits per day of the organization''s zone. Never dropped.';

CREATE TABLE usage_organization_daily (
    organization_id integer NOT NULL,
    day date NOT NULL,
    product text NOT NULL,
    kafka_partition integer NOT NULL,
    credits bigint NOT NULL,
    events bigint NOT NULL,
    PRIMARY KEY (organization_id, day, product, kafka_partition)
) WITH (fillfactor = 50);
COMMENT ON TABLE usage_organization_daily IS 'Writer: aggregator. The overview''s sums; the partition in the key keeps replicas off each other''s rows.';

CREATE TABLE partition_progress (
    topic text NOT NULL,
    partition integer NOT NULL,
    next_offset bigint NOT NULL DEFAULT 0,
    counted bigint NOT NULL DEFAULT 0,
    duplicate bigint NOT NULL DEFAULT 0,
    rejected bigint NOT NULL DEFAULT 0,
    held bigint NOT NULL DEFAULT 0,
    updated_at timestamptz NOT NULL DEFAULT now(),
    caught_up_at timestamptz,
    PRIMARY KEY (topic, partition),
    CONSTRAINT every_offset_has_one_fate CHECK (next_offset = counted + duplicate + rejected + held AND held >= 0)
) WITH (fillfactor = 50);
COMMENT ON TABLE partition_progress IS 'Writer: aggregator. What became of every offset below next_offset; Kafka''s own group offsets are only a hint.';

CREATE TABLE totals_outbox (
    totals_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    organization_id integer NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE totals_outbox IS 'Writer: aggregator. Organizations whose totals changed, until the relay has told usage.totals.v1.';

CREATE TABLE dead_letter_outbox (
    dead_letter_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic text NOT NULL,
    partition integer NOT NULL,
    kafka_offset bigint NOT NULL,
    key bytea,
    value bytea,
    headers json NOT NULL,  -- not jsonb, which refuses the NUL that a foreign header name may hold
    reason text NOT NULL,
    pointer text NOT NULL,
    received_at timestamptz NOT NULL,
    published_at timestamptz,
    UNIQUE (topic, partition, kafka_offset)
);
CREATE INDEX dead_letter_outbox_unpublished ON dead_letter_outbox (dead_letter_id) WHERE published_at IS NULL;
COMMENT ON TABLE dead_letter_outbox IS 'Writer: aggregator. Every record that could not be counted, exactly once; the relay copies it to the dead-letter topic at least once.';

CREATE TABLE alert_wakeups (
    wakeup_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    organization_id integer NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE alert_wakeups IS 'Writers: aggregator (catalog changes). Drained by the alerter.';

CREATE TABLE ledger_seals (
    ledger_bucket integer NOT NULL,
    organization_id integer NOT NULL,
    events bigint NOT NULL,
    credits bigint NOT NULL,
    sealed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (ledger_bucket, organization_id)
);
COMMENT ON TABLE ledger_seals IS 'Writer: drop_expired_partitions(). Sums of the counted rows of ledger partitions that have left the window.';

CREATE TABLE api_keys (
    key_id text PRIMARY KEY,
    secret_sha256 bytea NOT NULL,
    organizations text[] NOT NULL,
    products text[] NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    revoked_at timestamptz
);
COMMENT ON TABLE api_keys IS 'Writer: the command line. Only a hash of the 256-bit secret; * in a list means all.';
