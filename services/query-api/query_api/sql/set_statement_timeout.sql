-- Give the rest of the transaction, or of the savepoint that is rolled back, this many milliseconds a statement.
SELECT set_config('statement_timeout', $1, true)
