"""Contracts between services: event types, the codec, shared rules, and the folder of the contract files."""

from pathlib import Path

SCHEMAS = Path(__file__).resolve().parent.parent
"""Folder of the contract files: events/, topics/, examples/, postgres/, http/."""

NEWEST_MIGRATION = "0028_kept_files_when_rolling_back.sql"
"""The last file of postgres/, which services need and do not contain."""
