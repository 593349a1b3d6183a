-- Who has signed in with a browser, and who did what.

CREATE TABLE sessions (
    session_sha256 bytea PRIMARY KEY CHECK (length(session_sha256) = 32),
    organization_id integer NOT NULL REFERENCES organizations,
    organization text NOT NULL,
    subject text NOT NULL,
    name text NOT NULL,
    email text NOT NULL,
    role text NOT NULL,
    created_at timestamptz NOT NULL,
    last_seen_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL
);
CREATE INDEX sessions_by_expiry ON sessions (expires_at);
COMMENT ON TABLE sessions IS 'Writer: query API. Only the hash of the 256-bit id that a browser''s cookie holds. last_seen_at is kept to a minute.';

CREATE TABLE audit_log (
    organization_id integer NOT NULL REFERENCES organizations,
    audit_id bigint GENERATED ALWAYS AS IDENTITY,
    at timestamptz NOT NULL DEFAULT now(),
    subject text NOT NULL,
    email text NOT NULL,
    role text NOT NULL,
    action text NOT NULL,
    details json NOT NULL,
    request_id text NOT NULL,
    ip inet,
    PRIMARY KEY (organization_id, audit_id)
);
COMMENT ON TABLE audit_log IS 'Writer: query API, which can only append. Who did what, in the transaction that did it. ip is the peer''s, which may be a proxy.';

GRANT SELECT, INSERT, UPDATE (last_seen_at), DELETE ON sessions TO flexcredits_api;
GRANT SELECT, INSERT ON audit_log TO flexcredits_api;

-- Whoever presents a session's id sees that one session, whatever its organization, and nobody can list them.
ALTER TABLE sessions ENABLE ROW LEVEL SECURITY;
CREATE POLICY presented ON sessions TO flexcredits_api
    USING (session_sha256 = (SELECT decode(nullif(current_setting('app.session', true), ''), 'hex')))
    WITH CHECK (session_sha256 = (SELECT decode(nullif(current_setting('app.session', true), ''), 'hex')));
CREATE POLICY of_own_organization ON sessions AS RESTRICTIVE FOR INSERT TO flexcredits_api
    WITH CHECK (organization_id = (SELECT app_organization_id()) AND organization = current_setting('app.organization', true));

ALTER TABLE audit_log ENABLE ROW LEVEL SECURITY;
CREATE POLICY one_organization ON audit_log FOR SELECT TO flexcredits_api USING (organization_id = (SELECT app_organization_id()));
CREATE POLICY append ON audit_log FOR INSERT TO flexcredits_api WITH CHECK (organization_id = (SELECT app_organization_id()));

-- The API may forget what has ended, and cannot make anything end.
CREATE FUNCTION forget_expired_sessions(at timestamptz) RETURNS bigint
    LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp
    BEGIN ATOMIC
        WITH forgotten AS (DELETE FROM sessions WHERE expires_at < least(at, now()) RETURNING 1) SELECT count(*) FROM forgotten;
    END;
REVOKE EXECUTE ON FUNCTION forget_expired_sessions FROM PUBLIC;
GRANT EXECUTE ON FUNCTION forget_expired_sessions TO flexcredits_api;
