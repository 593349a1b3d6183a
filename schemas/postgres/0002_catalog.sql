-- Customers, contracts, agents, features and rates: the state after the events of usage.catalog.v1.
-- event_at and event_offset order the events: an older event never overwrites a newer one.
-- The query API reads one organization per transaction. Row-level security enforces this even if a statement lacks its WHERE.

CREATE TABLE organizations (
    organization_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    organization text NOT NULL UNIQUE,
    name text,
    time_zone text,
    billing_moderator_enabled boolean NOT NULL DEFAULT false,
    locale text NOT NULL DEFAULT 'en-US',
    label_keys text[] NOT NULL DEFAULT '{}',
    people text NOT NULL DEFAULT 'named' CHECK (people IN ('named', 'pseudonymous', 'groups_only')),
    my_usage boolean NOT NULL DEFAULT true,
    alias_key uuid NOT NULL DEFAULT gen_random_uuid(),
    event_at timestamptz,
    event_offset bigint
);
COMMENT ON COLUMN organizations.alias_key IS 'Secret of the aliases of people: without it, the alias of an actor cannot be computed from its id.';
COMMENT ON TABLE organizations IS 'Writer: aggregator. A row without time_zone is known from usage only; its usage is held until the catalog event of the organization arrives. Id 0 is the whole deployment.';
INSERT INTO organizations (organization_id, organization) OVERRIDING SYSTEM VALUE VALUES (0, '');

-- The organization of the API's transaction, from the setting app.organization; null if that is unset, empty or unknown.
CREATE FUNCTION app_organization_id() RETURNS integer
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
    RETURN (SELECT organization_id FROM organizations
            WHERE organization = nullif(current_setting('app.organization', true), ''));

GRANT SELECT, INSERT, UPDATE ON organizations TO flexcredits_aggregator;
GRANT SELECT ON organizations TO flexcredits_alerter, flexcredits_api;
GRANT SELECT, UPDATE (time_zone) ON organizations TO flexcredits_rebuild;
ALTER TABLE organizations ENABLE ROW LEVEL SECURITY;
CREATE POLICY aggregator ON organizations TO flexcredits_aggregator USING (true) WITH CHECK (true);
CREATE POLICY alerter ON organizations FOR SELECT TO flexcredits_alerter USING (true);
CREATE POLICY rebuild ON organizations TO flexcredits_rebuild USING (true) WITH CHECK (true);
CREATE POLICY one_organization ON organizations FOR SELECT TO flexcredits_api USING (organization_id = (SELECT app_organization_id()));

CREATE TABLE contracts (
    organization_id integer NOT NULL REFERENCES organizations,
    contract_id text NOT NULL,
    starts_on date NOT NULL,
    ends_on date NOT NULL,
    minimum_commitment bigint,
    overage_price bigint,
    credit_price bigint,
    currency text,
    price_versions jsonb NOT NULL DEFAULT '[]',
    account_team_name text,
    account_team_email text,
    account_team_url text,
    event_at timestamptz NOT NULL,
    event_offset bigint NOT NULL,
    PRIMARY KEY (organization_id, contract_id)
);
COMMENT ON TABLE contracts IS 'Writer: aggregator. Half-open dates in the organization''s time zone; amounts and prices in millionths.';
COMMENT ON COLUMN contracts.minimum_commitment IS 'Micro-credits over the whole contract period.';
COMMENT ON COLUMN contracts.price_versions IS 'The prices of each version of the contract that differ from those of the version before, in order of arrival: received_at, currency, is_list, and steps of from (null: the start of the contract), overage and credit (millionths). Empty: overage_price, credit_price and currency hold for the whole contract.';
GRANT SELECT, INSERT, UPDATE ON contracts TO flexcredits_aggregator;
GRANT SELECT ON contracts TO flexcredits_alerter, flexcredits_api;
ALTER TABLE contracts ENABLE ROW LEVEL SECURITY;
CREATE POLICY aggregator ON contracts TO flexcredits_aggregator USING (true) WITH CHECK (true);
CREATE POLICY alerter ON contracts FOR SELECT TO flexcredits_alerter USING (true);
CREATE POLICY one_organization ON contracts FOR SELECT TO flexcredits_api USING (organization_id = (SELECT app_organization_id()));

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
COMMENT ON TABLE credit_periods IS 'Writer: aggregator. Half-open dates; contracted micro-credits, total is null if the contract has no amount.';
GRANT SELECT, INSERT, DELETE ON credit_periods TO flexcredits_aggregator;
GRANT SELECT ON credit_periods TO flexcredits_alerter, flexcredits_api;
ALTER TABLE credit_periods ENABLE ROW LEVEL SECURITY;
CREATE POLICY aggregator ON credit_periods TO flexcredits_aggregator USING (true) WITH CHECK (true);
CREATE POLICY alerter ON credit_periods FOR SELECT TO flexcredits_alerter USING (true);
CREATE POLICY one_organization ON credit_periods FOR SELECT TO flexcredits_api USING (organization_id = (SELECT app_organization_id()));

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
COMMENT ON TABLE add_ons IS 'Writer: aggregator. Micro-credits in addition to the contracted ones; only included add-ons are available.';
GRANT SELECT, INSERT, DELETE ON add_ons TO flexcredits_aggregator;
GRANT SELECT ON add_ons TO flexcredits_alerter, flexcredits_api;
ALTER TABLE add_ons ENABLE ROW LEVEL SECURITY;
CREATE POLICY aggregator ON add_ons TO flexcredits_aggregator USING (true) WITH CHECK (true);
CREATE POLICY alerter ON add_ons FOR SELECT TO flexcredits_alerter USING (true);
CREATE POLICY one_organization ON add_ons FOR SELECT TO flexcredits_api USING (organization_id = (SELECT app_organization_id()));

CREATE TABLE members (
    organization_id integer NOT NULL REFERENCES organizations,
    email text NOT NULL,
    name text,
    role text NOT NULL,
    removed boolean NOT NULL,
    event_at timestamptz NOT NULL,
    event_offset bigint NOT NULL,
    PRIMARY KEY (organization_id, email)
);
COMMENT ON TABLE members IS 'Writer: aggregator. email is lower-case.';
GRANT SELECT, INSERT, UPDATE ON members TO flexcredits_aggregator;
GRANT SELECT ON members TO flexcredits_alerter, flexcredits_api;
ALTER TABLE members ENABLE ROW LEVEL SECURITY;
CREATE POLICY aggregator ON members TO flexcredits_aggregator USING (true) WITH CHECK (true);
CREATE POLICY alerter ON members FOR SELECT TO flexcredits_alerter USING (true);
CREATE POLICY one_organization ON members FOR SELECT TO flexcredits_api USING (organization_id = (SELECT app_organization_id()));

CREATE TABLE agents (
    organization_id integer NOT NULL REFERENCES organizations,
    agent_id text NOT NULL,
    state text NOT NULL CHECK (state IN ('saved', 'deleted', 'system')),
    name text,
    owner text,
    ever_saved boolean NOT NULL,
    event_at timestamptz NOT NULL,
    event_offset bigint NOT NULL,
    PRIMARY KEY (organization_id, agent_id)
);
COMMENT ON TABLE agents IS 'Writer: aggregator. The latest catalog event of each agent; agent_sightings has what usage events say about agents.';
GRANT SELECT, INSERT, UPDATE ON agents TO flexcredits_aggregator;
GRANT SELECT ON agents TO flexcredits_alerter, flexcredits_api;
ALTER TABLE agents ENABLE ROW LEVEL SECURITY;
CREATE POLICY aggregator ON agents TO flexcredits_aggregator USING (true) WITH CHECK (true);
CREATE POLICY alerter ON agents FOR SELECT TO flexcredits_alerter USING (true);
CREATE POLICY one_organization ON agents FOR SELECT TO flexcredits_api USING (organization_id = (SELECT app_organization_id()));

CREATE TABLE agent_sightings (
    organization_id integer NOT NULL REFERENCES organizations,
    agent_id text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('saved', 'unsaved', 'system')),
    name text NOT NULL,
    ever_saved boolean NOT NULL,
    seen_at timestamptz NOT NULL,
    named_at timestamptz,
    PRIMARY KEY (organization_id, agent_id)
);
COMMENT ON TABLE agent_sightings IS 'Writer: aggregator. Kind from the latest usage event, at seen_at, and name from the latest one that has a name, at named_at; both times are accurate to a quarter of an hour. name is empty until an event has one.';
GRANT SELECT, INSERT, UPDATE ON agent_sightings TO flexcredits_aggregator;
GRANT SELECT ON agent_sightings TO flexcredits_alerter, flexcredits_api;
ALTER TABLE agent_sightings ENABLE ROW LEVEL SECURITY;
CREATE POLICY aggregator ON agent_sightings TO flexcredits_aggregator USING (true) WITH CHECK (true);
CREATE POLICY alerter ON agent_sightings FOR SELECT TO flexcredits_alerter USING (true);
CREATE POLICY one_organization ON agent_sightings FOR SELECT TO flexcredits_api USING (organization_id = (SELECT app_organization_id()));

CREATE TABLE actors (
    organization_id integer NOT NULL REFERENCES organizations,
    actor_id text NOT NULL,
    display_name text,
    email text,
    removed boolean NOT NULL,
    erased boolean NOT NULL,
    event_at timestamptz NOT NULL,
    event_offset bigint NOT NULL,
    PRIMARY KEY (organization_id, actor_id)
);
-- Finds the newest event of a person, which requests read to know whether they can use names of an earlier one.
CREATE INDEX actors_by_event ON actors (organization_id, event_offset);
CREATE INDEX actors_by_email ON actors (organization_id, email) WHERE email IS NOT NULL;
COMMENT ON TABLE actors IS 'Writer: aggregator. People and service accounts of the directory; email is lower-case. An erased actor has neither name nor email, and is removed.';
GRANT SELECT, INSERT, UPDATE ON actors TO flexcredits_aggregator;
GRANT SELECT ON actors TO flexcredits_api;
ALTER TABLE actors ENABLE ROW LEVEL SECURITY;
CREATE POLICY aggregator ON actors TO flexcredits_aggregator USING (true) WITH CHECK (true);
CREATE POLICY one_organization ON actors FOR SELECT TO flexcredits_api USING (organization_id = (SELECT app_organization_id()));

CREATE TABLE actor_groups (
    organization_id integer NOT NULL REFERENCES organizations,
    actor_id text NOT NULL,
    effective_from date NOT NULL,
    groups text[] NOT NULL,
    event_at timestamptz NOT NULL,
    event_offset bigint NOT NULL,
    PRIMARY KEY (organization_id, actor_id, effective_from)
);
CREATE INDEX actor_groups_by_event ON actor_groups (organization_id, event_offset);
COMMENT ON TABLE actor_groups IS 'Writer: aggregator. The groups of an actor from a day of the organization''s time zone on; usage counts in the first one. Before the first row the first row applies.';
GRANT SELECT, INSERT, UPDATE ON actor_groups TO flexcredits_aggregator;
GRANT SELECT ON actor_groups TO flexcredits_api;
ALTER TABLE actor_groups ENABLE ROW LEVEL SECURITY;
CREATE POLICY aggregator ON actor_groups TO flexcredits_aggregator USING (true) WITH CHECK (true);
CREATE POLICY one_organization ON actor_groups FOR SELECT TO flexcredits_api USING (organization_id = (SELECT app_organization_id()));

CREATE TABLE people_groups (
    organization_id integer NOT NULL REFERENCES organizations,
    group_id text NOT NULL,
    name text NOT NULL,
    parent_id text,
    owner_emails text[] NOT NULL,
    event_at timestamptz NOT NULL,
    event_offset bigint NOT NULL,
    PRIMARY KEY (organization_id, group_id)
);
COMMENT ON TABLE people_groups IS 'Writer: aggregator. Groups of people. Parents may be unknown or form a cycle: readers then treat the group as one without a parent.';
GRANT SELECT, INSERT, UPDATE ON people_groups TO flexcredits_aggregator;
GRANT SELECT ON people_groups TO flexcredits_api;
ALTER TABLE people_groups ENABLE ROW LEVEL SECURITY;
CREATE POLICY aggregator ON people_groups TO flexcredits_aggregator USING (true) WITH CHECK (true);
CREATE POLICY one_organization ON people_groups FOR SELECT TO flexcredits_api USING (organization_id = (SELECT app_organization_id()));

-- The group in which a use on a day counts: the one that its event names, else the first group of its actor on that day, else ''.
CREATE FUNCTION group_then(organization integer, event_group text, actor text, day date) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN CASE WHEN coalesce(event_group, '') <> '' THEN event_group WHEN coalesce(actor, '') = '' THEN '' ELSE coalesce(
        (SELECT g.groups[1] FROM actor_groups g WHERE g.organization_id = organization AND g.actor_id = actor
         ORDER BY g.effective_from <= day DESC, CASE WHEN g.effective_from <= day THEN day - g.effective_from ELSE g.effective_from - day END
         LIMIT 1), '') END;

CREATE TABLE features (
    organization_id integer NOT NULL REFERENCES organizations,
    product text NOT NULL,
    feature_kind text NOT NULL,
    feature text NOT NULL,
    effective_from date NOT NULL,
    display_name text,
    category text,
    event_at timestamptz NOT NULL,
    event_offset bigint NOT NULL,
    PRIMARY KEY (organization_id, product, feature_kind, feature, effective_from)
);
COMMENT ON TABLE features IS 'Writer: aggregator. organization_id 0 applies to the whole deployment.';
GRANT SELECT, INSERT, UPDATE ON features TO flexcredits_aggregator;
GRANT SELECT ON features TO flexcredits_alerter, flexcredits_api;
ALTER TABLE features ENABLE ROW LEVEL SECURITY;
CREATE POLICY aggregator ON features TO flexcredits_aggregator USING (true) WITH CHECK (true);
CREATE POLICY alerter ON features FOR SELECT TO flexcredits_alerter USING (true);
CREATE POLICY one_organization ON features FOR SELECT TO flexcredits_api
    USING (organization_id = (SELECT app_organization_id()) OR (organization_id = 0 AND (SELECT app_organization_id()) IS NOT NULL));

CREATE TABLE rates (
    rate_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    organization_id integer NOT NULL REFERENCES organizations,
    product text NOT NULL,
    feature_kind text NOT NULL,
    feature text NOT NULL,
    unit text NOT NULL,
    part_of text,
    credits bigint NOT NULL,
    per bigint NOT NULL,
    effective_from timestamptz,
    received_at timestamptz NOT NULL,
    catalog_offset bigint NOT NULL,
    source text NOT NULL,
    event_id text NOT NULL,
    UNIQUE (organization_id, source, event_id)
);
COMMENT ON TABLE rates IS 'Writer: aggregator. Append-only; credits and per in millionths. A copy of a rate event is dropped, so that a retry cannot change received_at.';
GRANT SELECT, INSERT ON rates TO flexcredits_aggregator;
GRANT SELECT ON rates TO flexcredits_api, flexcredits_rebuild;
ALTER TABLE rates ENABLE ROW LEVEL SECURITY;
CREATE POLICY aggregator ON rates TO flexcredits_aggregator USING (true) WITH CHECK (true);
CREATE POLICY rebuild ON rates TO flexcredits_rebuild USING (true) WITH CHECK (true);
CREATE POLICY one_organization ON rates FOR SELECT TO flexcredits_api
    USING (organization_id = (SELECT app_organization_id()) OR (organization_id = 0 AND (SELECT app_organization_id()) IS NOT NULL));
