"""A service without one of its safeguards, to see whether a test notices."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from flexcredits_local.folders import REPOSITORY

Changes = Mapping[str, Sequence[tuple[str, str]]]
"""By file of the package: what is replaced, and by what."""


def make_mutant(service: str, changes: Changes, folder: Path) -> Path:
    """A changed copy of a service's package; with its folder in PYTHONPATH it is what Python imports."""
    copy = folder / service
    shutil.copytree(REPOSITORY / "services" / service / service, copy)
    for name, replacements in changes.items():
        path = copy / name
        for old, new in replacements:
            assert path.read_text().count(old) == 1, f"{name} has changed: {old}"
            path.write_text(path.read_text().replace(old, new))
    return folder
