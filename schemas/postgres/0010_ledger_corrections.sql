-- From an event to its corrections, for its receipt. Only corrections are in it, so usage is written as fast as before.
CREATE INDEX usage_ledger_corrections ON usage_ledger (corrects) WHERE corrects IS NOT NULL;
