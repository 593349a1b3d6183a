-- Those of these organizations whose usage is put aside, for as long as the transaction lasts: none leaves quarantine meanwhile.
SELECT o.organization FROM quarantine q JOIN organizations o USING (organization_id)
WHERE q.component = 'aggregator' AND q.step = 'counting' AND o.organization = ANY($1::text[])
ORDER BY q.organization_id FOR SHARE OF q
