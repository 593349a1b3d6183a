-- The next statements of this transaction may take $1 each.
SELECT set_config('statement_timeout', $1, true)
