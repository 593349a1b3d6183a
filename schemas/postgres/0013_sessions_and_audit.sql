-- Browser sessions, and the audit log.

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
    expires_at timestamptz NOT NULL,
    email_verified boolean NOT NULL DEFAULT false
);
CREATE INDEX sessions_by_expiry ON sessions (expires_at);
COMMENT ON TABLE sessions IS 'Writer: query API. Only the hash of the 256-bit id in a browser''s cookie. last_seen_at is accurate to a minute.';
-- A transaction sees the session whose id it has set, in any organization, and cannot list the others.
GRANT SELECT, INSERT, DELETE, UPDATE (last_seen_at) ON sessions TO flexcredits_api;
ALTER TABLE sessions ENABLE ROW LEVEL SECURITY;
CREATE POLICY insert_in_own_organization ON sessions AS RESTRICTIVE FOR INSERT TO flexcredits_api
    WITH CHECK (organization_id = (SELECT app_organization_id()) AND organization = current_setting('app.organization', true));
CREATE POLICY own_session ON sessions TO flexcredits_api
    USING (session_sha256 = (SELECT decode(nullif(current_setting('app.session', true), ''), 'hex')))
    WITH CHECK (session_sha256 = (SELECT decode(nullif(current_setting('app.session', true), ''), 'hex')));

-- Sessions that have ended are deleted; the API can call this function and cannot end other sessions with it.
CREATE FUNCTION delete_expired_sessions(at timestamptz) RETURNS bigint
    LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp
    BEGIN ATOMIC
        WITH deleted AS (DELETE FROM sessions WHERE expires_at < least(at, now()) RETURNING 1) SELECT count(*) FROM deleted;
    END;
REVOKE EXECUTE ON FUNCTION delete_expired_sessions FROM PUBLIC;
GRANT EXECUTE ON FUNCTION delete_expired_sessions TO flexcredits_api;

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
COMMENT ON TABLE audit_log IS 'Writer: query API, which can only append. Who did what, inserted in the transaction of the action. ip is the address of the peer, which may be a proxy.';
GRANT SELECT, INSERT ON audit_log TO flexcredits_api;
ALTER TABLE audit_log ENABLE ROW LEVEL SECURITY;
CREATE POLICY append_only ON audit_log FOR INSERT TO flexcredits_api WITH CHECK (organization_id = (SELECT app_organization_id()));
CREATE POLICY one_organization ON audit_log FOR SELECT TO flexcredits_api USING (organization_id = (SELECT app_organization_id()));
