-- From here to the end of the transaction, row-level security shows the session with this hash.
SELECT set_config('app.session', $1, true)
