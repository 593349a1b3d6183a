-- From here to the end of the transaction, plans are made for the values at hand: a day and a year need different ones.
SET LOCAL plan_cache_mode = force_custom_plan
