"""Alert types that services share equal the event's schema, and thresholds are compared in whole micro-credits."""

import json
from typing import get_args

import pytest
from flexcredits_schemas import SCHEMAS
from flexcredits_schemas.alerts import AlertKind, Notification, Resolution, Rule, is_met


def test_the_words_are_those_of_the_schema() -> None:
    schema = json.loads((SCHEMAS / "alerts" / "alert.v1.json").read_text())["$defs"]
    about, resolved = schema["About"]["properties"], schema["Resolved"]["properties"]["data"]["properties"]
    assert list(get_args(Rule)) == about["rule"]["enum"]
    assert list(get_args(AlertKind)) == about["kind"]["enum"]
    assert list(get_args(Notification)) == about["notification"]["enum"]
    assert list(get_args(Resolution)) == resolved["resolution"]["enum"]


@pytest.mark.parametrize(
    ("used", "available", "percent", "met"),
    [
        (75, 100, 75, True),
        (74, 100, 75, False),
        (2, 3, 66, True),
        (2, 3, 67, False),
        (0, 1, 1, False),
        (-5, 1, 1, False),
    ],
)
def test_a_threshold_is_met_at_its_percentage_and_not_before(
    used: int, available: int, percent: int, met: bool
) -> None:
    assert is_met(used, available, percent) is met
