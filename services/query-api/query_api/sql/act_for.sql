-- From here to the end of the transaction, row-level security shows this organization alone. Plans are made for the values at hand: a day and a year need different ones.
SELECT set_config('app.organization', $1, true), set_config('plan_cache_mode', 'force_custom_plan', true)
