"""Windows and local days."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from aggregator.domain.rollup import Organization
from aggregator.domain.time_window import OutsideWindow, check_window
from aggregator.rebuild.scope import Days
from flexcredits_schemas.calendar import QUARTER_S, local_day
from hypothesis import given
from hypothesis import strategies as st

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC).timestamp()
ZONES = ["UTC", "Asia/Kathmandu", "America/St_Johns", "Europe/Berlin", "Australia/Lord_Howe", "Pacific/Kiritimati"]


@pytest.mark.parametrize("seconds", [0, -400 * 86_400, 360])
def test_window_takes(seconds: int) -> None:
    check_window(NOW + seconds, NOW)


@pytest.mark.parametrize("seconds", [-401 * 86_400, 7200])
def test_window_refuses(seconds: int) -> None:
    with pytest.raises(OutsideWindow) as refused:
        check_window(NOW + seconds, NOW)
    assert refused.value.pointer == "/time"


@given(st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)), st.sampled_from(ZONES))  # noqa: DTZ001 - made aware below
def test_every_instant_of_a_bucket_has_the_buckets_local_day(instant: datetime, zone: str) -> None:
    aware = instant.replace(tzinfo=UTC)
    day = local_day(int(aware.timestamp() // QUARTER_S), zone)
    assert date(1970, 1, 1) + timedelta(days=day) == aware.astimezone(ZoneInfo(zone)).date()


def test_days_to_be_rebuilt_may_reach_to_the_calendars_edges() -> None:
    east, west = Organization(1, "Pacific/Kiritimati"), Organization(2, "Pacific/Pago_Pago")
    days = Days(date.min, date.max, {"east": east, "west": west})
    assert days.begins() <= days.ends()
    assert days.ends().date() == date.max
