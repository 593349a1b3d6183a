-- One rebuild at a time, and no partition is dropped meanwhile; held by the session.
SELECT pg_try_advisory_lock(hashtext('flexcredits.rebuild'))
