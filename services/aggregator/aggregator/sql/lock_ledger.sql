-- Keep the set of the ledger's partitions as it is until the transaction ends: making or dropping one needs the whole table.
LOCK TABLE ONLY usage_ledger IN ROW EXCLUSIVE MODE
