-- Facts about customers, written by the aggregator from usage.catalog.v1.
-- fact_at and fact_offset order the facts: an older one never overwrites a newer one.

CREATE TABLE organizations (
    organization_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    organization text NOT NULL UNIQUE,
    name text,
    time_zone text,
    billing_moderator_enabled boolean NOT NULL DEFAULT false,
    locale text NOT NULL DEFAULT 'en-US',
    fact_at timestamptz,
    fact_offset bigint
);
COMMENT ON TABLE organizations IS 'Writer: aggregator. A row without time_zone was only seen in usage, which is held until its fact arrives. Id 0 stands for the whole deployment.';
INSERT INTO organizations (organization_id, organization) OVERRIDING SYSTEM VALUE VALUES (0, '');

-- The organization that the API acts for in this transaction; nobody's when unset or empty.
CREATE FUNCTION app_organization_id() RETURNS integer
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
    RETURN (SELECT organization_id FROM organizations
            WHERE organization = nullif(current_setting('app.organization', true), ''));

CREATE TABLE contracts (
    organization_id integer NOT NULL REFERENCES organizations,
    contract_id text NOT NULL,
    starts_on date NOT NULL,
    ends_on date NOT NULL,
    minimum_commitment bigint,
    overage_price bigint,
    credit_price bigint,
    currency text,
    fact_at timestamptz NOT NULL,
    fact_offset bigint NOT NULL,
    PRIMARY KEY (organization_id, contract_id)
);
COMMENT ON TABLE contracts IS 'Writer: aggregator. Half-open dates in the organization''s zone; amounts and prices in millionths.';

CREATE TABLE credit_periods (
    organization_id integer NOT NULL,
    contract_id text NOT NULL,
    credit_period_id text NOT NULL,
    starts_on date NOT NULL,
    ends_on date NOT NULL,
    total bigint,
    assistant bigint,
    agents bigint,
    api bigint,
    PRIMARY KEY (organization_id, contract_id, credit_period_id),
    FOREIGN KEY (organization_id, contract_id) REFERENCES contracts ON DELETE CASCADE
);
COMMENT ON TABLE credit_periods IS 'Writer: aggregator. Half-open dates; contracted micro-credits, total null when no amount was given.';

CREATE TABLE add_ons (
    organization_id integer NOT NULL,
    contract_id text NOT NULL,
    credit_period_id text NOT NULL,
    position integer NOT NULL,
    name text NOT NULL,
    credits bigint NOT NULL,
    included boolean NOT NULL,
    PRIMARY KEY (organization_id, contract_id, credit_period_id, position),
    FOREIGN KEY (organization_id, contract_id, credit_period_id) REFERENCES credit_periods ON DELETE CASCADE
);
COMMENT ON TABLE add_ons IS 'Writer: aggregator. Micro-credits next to the contracted ones; only included ones are available.';

CREATE TABLE members (
    organization_id integer NOT NULL REFERENCES organizations,
    email text NOT NULL,
    name text,
    role text NOT NULL,
    removed boolean NOT NULL,
    fact_at timestamptz NOT NULL,
    fact_offset bigint NOT NULL,
    PRIMARY KEY (organization_id, email)
);
COMMENT ON TABLE members IS 'Writer: aggregator. email is lower-case.';

CREATE TABLE agents (
    organization_id integer NOT NULL REFERENCES organizations,
    agent_id text NOT NULL,
    state text NOT NULL CHECK (state IN ('saved', 'deleted', 'system')),
    name text,
    owner text,
    ever_saved boolean NOT NULL,
    fact_at timestamptz NOT NULL,
    fact_offset bigint NOT NULL,
    PRIMARY KEY (organization_id, agent_id)
);
COMMENT ON TABLE agents IS 'Writer: aggregator. The registry''s latest word; agent_sightings says what usage called them.';

CREATE TABLE agent_sightings (
    organization_id integer NOT NULL REFERENCES organizations,
    agent_id text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('saved', 'unsaved', 'system')),
    name text NOT NULL,
    ever_saved boolean NOT NULL,
    seen_at timestamptz NOT NULL,
    PRIMARY KEY (organization_id, agent_id)
);
COMMENT ON TABLE agent_sightings IS 'Writer: aggregator. Kind and name in the latest usage event; seen_at is kept to a quarter of an hour.';

CREATE TABLE features (
    organization_id integer NOT NULL REFERENCES organizations,
    product text NOT NULL,
    feature_kind text NOT NULL,
    feature text NOT NULL,
    effective_from date NOT NULL,
    display_name text,
    category text,
    fact_at timestamptz NOT NULL,
    fact_offset bigint NOT NULL,
    PRIMARY KEY (organization_id, product, feature_kind, feature, effective_from)
);
COMMENT ON TABLE features IS 'Writer: aggregator. organization_id 0 holds for the whole deployment.';

CREATE TABLE rates (
    rate_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    organization_id integer NOT NULL REFERENCES organizations,
    product text NOT NULL,
    feature_kind text NOT NULL,
    feature text NOT NULL,
    unit text NOT NULL,
    credits bigint NOT NULL,
    per bigint NOT NULL,
    effective_from timestamptz,
    received_at timestamptz NOT NULL,
    catalog_offset bigint NOT NULL,
    source text NOT NULL,
    event_id text NOT NULL,
    UNIQUE (organization_id, source, event_id)
);
COMMENT ON TABLE rates IS 'Writer: aggregator. Append-only; credits and per in millionths. A copy of a rate fact is dropped, so a retry cannot postpone it.';
