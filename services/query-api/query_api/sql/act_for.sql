-- From here to the end of the transaction, row-level security shows this organization alone.
SELECT set_config('app.organization', $1, true)
