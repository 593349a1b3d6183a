-- upgrade: nothing to stop
-- A query API of the release before must not count files whose blocks are shared: it would delete most of what is kept of them, and
-- cannot write them again. Without kept_bytes it says that their lines are not kept.

UPDATE export_manifests m SET kept_bytes = NULL WHERE kept_bytes IS NOT NULL AND EXISTS (
    SELECT FROM export_lines l WHERE l.organization_id = m.organization_id AND l.export_id = m.export_id
        AND (l.lines_block IS NOT NULL OR l.labels_block IS NOT NULL)
);
COMMENT ON COLUMN export_manifests.kept_bytes IS 'Of files of the release before, that of their own lines; null when these are no longer kept. Null for files whose lines are blocks: their rows of export_lines say that they are kept.';
