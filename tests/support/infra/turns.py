"""Which tests a process of several gets together, and in which order."""

from collections import Counter
from collections.abc import Sequence

import pytest

SHARE_A_STACK = {"tests/ingest/clients", "tests/journeys/dashboard"}
LONG = {
    "tests/journeys/dashboard": 800,
    "tests/journeys/test_simulation.py": 240,
    "tests/journeys/test_whole_path.py": 230,
    "tests/alerter/test_alerter_kills.py": 200,
    "tests/alerter/test_alerter_simulation.py": 160,
    "tests/aggregator/test_aggregator_simulation.py": 150,
    "tests/alerter/test_alerter_process.py": 130,
    "tests/cli/test_up.py": 130,
    "tests/journeys/test_alerts.py": 120,
    "tests/aggregator/test_aggregator_recounts.py": 100,
    "tests/alerter/test_alert_model.py": 100,
    "tests/bench/test_bench.py": 90,
    "tests/query_api/http/test_described.py": 90,
    "tests/ingest/test_ingest_outages.py": 80,
    "tests/journeys/test_first_ten_minutes.py": 80,
    "tests/journeys/test_prometheus.py": 70,
    "tests/journeys/test_upgrade.py": 70,
}
"""Seconds, of those with more than a minute. A wrong number costs time only: the last process ends later than need be."""


def unit_of(nodeid: str) -> str:
    """What one process gets as a whole: a file, or the files that share a stack, so that it starts once."""
    file = nodeid.partition("::")[0]
    folder = file.rpartition("/")[0]
    return folder if folder in SHARE_A_STACK else file


def longest_first(items: Sequence[pytest.Item]) -> list[pytest.Item]:
    """The longest units, then those with most tests, so that only short ones are left when the first process has no work."""
    sizes = Counter(unit_of(item.nodeid) for item in items)

    def turn(item: pytest.Item) -> tuple[int, int, str]:
        unit = unit_of(item.nodeid)
        return -LONG.get(unit, 0), -sizes[unit], unit

    return sorted(items, key=turn)
