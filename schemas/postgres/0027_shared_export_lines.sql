-- upgrade: nothing to stop
-- What is kept of exported files is stored once for all files of an organization that have it, so that a file of each day fits for as
-- long as the ledger is kept.

CREATE TABLE export_blocks (
    organization_id integer NOT NULL REFERENCES organizations,
    block bytea NOT NULL,
    data bytea NOT NULL,
    PRIMARY KEY (organization_id, block)
);
ALTER TABLE export_blocks ALTER COLUMN data SET STORAGE EXTERNAL; -- compressed already
COMMENT ON TABLE export_blocks IS 'Writer: query API. Kept lines and labels of exported files, by the SHA-256 of data: several rows of export_lines may have the same block. Deleted when none has it. A transaction that adds or deletes blocks or rows of export_lines of an organization holds its lock (lock_exports).';
GRANT SELECT, INSERT, DELETE ON export_blocks TO flexcredits_api;
ALTER TABLE export_blocks ENABLE ROW LEVEL SECURITY;
CREATE POLICY one_organization ON export_blocks TO flexcredits_api
    USING (organization_id = (SELECT app_organization_id())) WITH CHECK (organization_id = (SELECT app_organization_id()));

ALTER TABLE export_lines ALTER COLUMN first_on DROP NOT NULL, ALTER COLUMN begins_at DROP NOT NULL, ALTER COLUMN lines DROP NOT NULL,
    ADD COLUMN labels_block bytea, ADD COLUMN lines_block bytea;
CREATE INDEX export_lines_by_block ON export_lines (organization_id, lines_block);
CREATE INDEX export_lines_by_labels ON export_lines (organization_id, labels_block) WHERE labels_block IS NOT NULL;
CREATE INDEX export_lines_inline ON export_lines (organization_id) WHERE lines IS NOT NULL;
COMMENT ON TABLE export_lines IS 'Writer: query API. What is kept of an exported file, in parts, as blocks. The first part has the labels of all, and what is the same for the whole file. Parts of usage have some days: begins_at are the instants at which the days from first_on on began, and the last one ended. Parts without days are other lines, as they were written. Files of the release before have lines and labels of their own here, with labels null: those of the part before.';
COMMENT ON COLUMN export_manifests.kept_bytes IS 'Of the blocks of the file, also of those that other files have; null when they are no longer kept, were too many, or the file is by people.';
