-- Sessions that have ended are not kept.
SELECT forget_expired_sessions($1)
