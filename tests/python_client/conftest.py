"""A server that answers like ingest, and clients whose waits are short."""

from collections.abc import Iterator
from typing import Any

import pytest
from flexcredits_client import Options
from support.services.scripted_ingest import ScriptedIngest, scripted_ingest


@pytest.fixture
def ingest() -> Iterator[ScriptedIngest]:
    with scripted_ingest() as server:
        yield server


def quick(**options: Any) -> Options:
    """Options with waits of milliseconds."""
    waits = {"batch_age_s": 0.01, "backoff_s": 0.01, "backoff_max_s": 0.02, "answer_s": 5.0, "close_s": 5.0}
    return Options(**{**waits, **options})
