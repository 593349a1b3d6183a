-- upgrade: nothing to stop
-- Which files were asked for in the same way, and which have the same bytes: a program that polls must not displace other files.
-- What of people is in a file: its sums and hash must show no more of them than views do.

ALTER TABLE export_manifests ADD COLUMN request bytea, ADD COLUMN sha256 text, ADD COLUMN people text, ADD COLUMN people_version bigint[];
-- No operators of JSON: they refuse a manifest that has \u0000. Quotes within its texts are escaped.
UPDATE export_manifests SET sha256 = substring(manifest from '"sha256": "([0-9a-f]{64})"'),
    request = sha256(convert_to(substring(manifest from '"file": "([^"]*)"'), 'UTF8'));
COMMENT ON COLUMN export_manifests.request IS 'SHA-256 of who asked and of the parameters, or of the name of a file that was made before; null while services of the release before still run: each is then of its own.';
COMMENT ON COLUMN export_manifests.sha256 IS 'Of the file, as in the manifest.';
COMMENT ON COLUMN export_manifests.people IS 'What the organization showed of people in a file by people; null for other files.';
COMMENT ON COLUMN export_manifests.people_version IS 'Newest event of an actor and newest of catalog_reloads in the snapshot of a file by people: who was removed later may be in it.';
COMMENT ON TABLE export_manifests IS 'Writer: query API. One row per file that was sent whole. Up to a limit per organization, then the oldest are deleted, before them all but the newest few of a request; of the same bytes, those between the first and the newest count as the oldest. manifest is JSON, its bytes are signed; signature is a minisign file, null without a key. kept_bytes: of its export_lines, null when they are no longer kept, were too many, or the file is not one of usage.';
