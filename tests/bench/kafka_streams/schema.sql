-- The peer's only table. One row per organization, product, kind and name of the feature, agent, and hour.
CREATE TABLE rollup (
    organization text, product text, kind text, feature text, agent text, hour timestamptz,
    credits numeric(20, 6) NOT NULL, events bigint NOT NULL,
    PRIMARY KEY (organization, hour, product, kind, feature, agent)
) WITH (fillfactor = 70);
