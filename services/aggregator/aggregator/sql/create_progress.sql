-- A partition that was never seen starts at offset 0.
INSERT INTO partition_progress (topic, partition) SELECT $1, unnest($2::integer[]) ON CONFLICT DO NOTHING
