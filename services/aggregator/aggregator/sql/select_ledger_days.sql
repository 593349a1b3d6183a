-- Which of these days since 1970 have a ledger partition now.
SELECT day FROM unnest($1::integer[]) AS day
WHERE to_regclass('usage_ledger_' || to_char(date '1970-01-01' + day, 'YYYYMMDD')) IS NOT NULL
