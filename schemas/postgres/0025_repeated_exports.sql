-- upgrade: nothing to stop
-- Which files were asked for in the same way, and which have the same bytes: a program that polls must not displace other files.

ALTER TABLE export_manifests ADD COLUMN request bytea, ADD COLUMN sha256 text;
UPDATE export_manifests SET sha256 = manifest::json ->> 'sha256';
COMMENT ON COLUMN export_manifests.request IS 'SHA-256 of who asked and of the parameters; null for files of releases before: each is then of its own.';
COMMENT ON COLUMN export_manifests.sha256 IS 'Of the file, as in the manifest.';
COMMENT ON TABLE export_manifests IS 'Writer: query API. One row per file that was sent whole. Up to a limit per organization, then older ones of the request with the most files are deleted, those between the first and the newest of the same bytes first. manifest is JSON, its bytes are signed; signature is a minisign file, null without a key. kept_bytes: of its export_lines, null when they are no longer kept, were too many, or the file is not one of usage.';
