-- Make time partitions ahead and drop those past the window.
SELECT ensure_partitions($1), ARRAY(SELECT drop_expired_partitions($1)) AS dropped
