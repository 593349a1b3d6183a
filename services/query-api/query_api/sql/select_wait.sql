-- The seconds until a person may do again what may be done once in $4 seconds; no row, now.
SELECT extract(epoch FROM at - now())::float8 + $4::float8 AS wait_s FROM audit_log
WHERE organization_id = $1 AND subject = $2 AND action = $3 AND at > now() - make_interval(secs => $4)
ORDER BY audit_id DESC LIMIT 1
