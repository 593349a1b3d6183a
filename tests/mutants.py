"""A service without one of its safeguards, to see whether a test notices."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from flexcredits_local.folders import REPOSITORY

Changes = Mapping[str, Sequence[tuple[str, str]]]
"""By file of the package: what is replaced, and by what."""

COMMITTED_FIRST: Changes = {
    "stream.py": [
        ("            self._consumer.seek(at, positions[at.partition])\n", "            pass\n"),
        (
            "            outcome = await rerun(lambda: self._count(batch))\n",
            "            taken = {TopicPartition(self.topic, at): last + 1 for at, (_, last) in batch.spans.items()}\n"
            "            await self._consumer.commit(taken)\n"
            "            outcome = await rerun(lambda: self._count(batch))\n",
        ),
    ]
}
"""An aggregator that trusts Kafka's offsets, and commits them before its transaction."""


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
