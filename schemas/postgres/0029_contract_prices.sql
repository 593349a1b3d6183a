-- A price holds from a day on: what every version of a contract said about prices, in the order of their arrival.
ALTER TABLE contracts ADD COLUMN price_versions jsonb NOT NULL DEFAULT '[]';
COMMENT ON COLUMN contracts.price_versions IS 'What each version of the contract said about prices, if it differs from the one before: received_at, currency, is_list, and steps of from (null: the beginning), overage and credit (millionths). Empty: only overage_price, credit_price and currency are known, since ever.';
