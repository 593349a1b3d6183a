"""What two services must agree on: event types, the codec, and where the contract files lie."""

from pathlib import Path

SCHEMAS = Path(__file__).resolve().parent.parent
"""Folder of the contract files: events/, topics/, examples/, postgres/, http/."""
