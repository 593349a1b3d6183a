"""Time zones: accepted names, and the locked rules, which apply on every machine."""

import json
import os
import re
import shutil
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from flexcredits_cli.embedded.dashboard import BIN
from flexcredits_cli.machine.state_folder import REPOSITORY
from flexcredits_schemas import SCHEMAS
from flexcredits_schemas.calendar import local_date, midnight
from flexcredits_schemas.codec import InvalidEvent, decode
from flexcredits_schemas.zones import (
    ACCEPTED_ZONES,
    RULES_FROM,
    RULES_TO,
    TZ_VERSION,
    ZONE_LINKS,
    canonical_zone,
    changes_of,
    differ_since,
    find_zone,
    offset_at,
    zone_of,
    zones_differing_in,
)
from hypothesis import given
from hypothesis import strategies as st
from support.clients.browser import chromium, needs_chromium
from support.data.factories import contract, organization, rate

NOVEMBER = datetime(2026, 11, 15, tzinfo=UTC)
KNOWN_TO_INTL = """names => names.filter(zone => {
    try { new Intl.DateTimeFormat("en", { timeZone: zone }); return false } catch { return true }
})"""


def taken(document: dict[str, Any]) -> Any:
    return decode(json.dumps(document).encode())


def refused(document: dict[str, Any]) -> tuple[str, str]:
    with pytest.raises(InvalidEvent) as caught:
        taken(document)
    return caught.value.pointer, caught.value.detail


def test_the_list_is_that_of_the_locked_tzdata() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "flexcredits_schemas.generators.zones", "--check"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert set(ZONE_LINKS.values()) <= ACCEPTED_ZONES
    assert not ZONE_LINKS.keys() & ACCEPTED_ZONES
    assert json.loads((SCHEMAS / "flexcredits_schemas" / "time-zones.json").read_text())["tz"] == TZ_VERSION


@pytest.mark.parametrize(
    ("name", "zone"),
    [
        ("Europe/Berlin", "Europe/Berlin"),
        ("Europe/Stockholm", "Europe/Stockholm"),  # a link, and a place of its own
        ("Asia/Calcutta", "Asia/Kolkata"),
        ("US/Pacific", "America/Los_Angeles"),
        ("Europe/Kiev", "Europe/Kyiv"),
        ("CET", "Europe/Brussels"),
        ("Etc/GMT+5", "Etc/GMT+5"),
        ("UTC", "UTC"),
        ("Etc/UTC", "UTC"),
        ("Zulu", "UTC"),
        ("GMT", "UTC"),
    ],
)
def test_a_legacy_name_is_replaced_by_its_successor(name: str, zone: str) -> None:
    assert taken(organization(time_zone=name)).data.time_zone == zone


def test_names_that_postgres_images_lack_are_never_stored() -> None:
    """See docker-library/postgres#1355: Debian 13, and so the image of Postgres 18, has tz's legacy names in a separate package."""
    lacking = (
        "America/Buenos_Aires America/Indianapolis Asia/Ashkhabad Asia/Chungking Asia/Macao Asia/Thimbu Australia/NSW Australia/South"
        " Australia/West Brazil/Acre Canada/Atlantic Chile/EasterIsland Europe/Uzhgorod Iran NZ Pacific/Truk Singapore US/Michigan"
    )
    assert set(lacking.split()) <= ZONE_LINKS.keys()
    assert all("/" in zone or zone == "UTC" for zone in ACCEPTED_ZONES)
    assert {zone.split("/")[0] for zone in ACCEPTED_ZONES} == {
        "Africa", "America", "Antarctica", "Arctic", "Asia", "Atlantic", "Australia", "Etc", "Europe", "Indian", "Pacific", "UTC",
    }  # fmt: skip


@pytest.mark.parametrize(
    "name",
    ["posix/Europe/Berlin", "right/Europe/Berlin", "localtime", "posixrules", "Factory", "EST5EDT", "PST8PDT",
     "Europe/Atlantis", "europe/berlin", "Africa", "zone.tab"],
)  # fmt: skip
def test_any_other_name_is_refused_with_the_form_to_use(name: str) -> None:
    pointer, detail = refused(organization(time_zone=name))
    assert pointer == "/data/time_zone"
    if "." not in name:  # the schema's pattern refuses names with a dot
        assert name in detail
        assert "Area/Location, such as Europe/Berlin, or UTC" in detail


async def test_postgres_knows_every_accepted_zone(postgres_dsn: str) -> None:
    connection = await asyncpg.connect(postgres_dsn)
    try:
        names = {row["name"] for row in await connection.fetch("SELECT name FROM pg_timezone_names")}
        assert ACCEPTED_ZONES - names <= {"UTC"}
        for zone in ACCEPTED_ZONES:
            await connection.fetchval("SELECT now() AT TIME ZONE $1", zone)
    finally:
        await connection.close()


def test_node_knows_every_accepted_zone() -> None:
    script = f"console.log(JSON.stringify(({KNOWN_TO_INTL})({json.dumps(sorted(ACCEPTED_ZONES))})))"
    done = subprocess.run([BIN / "node", "-e", script], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []


@needs_chromium
async def test_chromium_knows_every_accepted_zone() -> None:
    async with chromium() as browser:
        page = await browser.new_page()
        assert await page.evaluate(KNOWN_TO_INTL, sorted(ACCEPTED_ZONES)) == []


RULES = """
import flexcredits_schemas.zones as zones, zoneinfo
from datetime import UTC, datetime
at = datetime(2026, 11, 15, tzinfo=UTC)
for name in ("America/Vancouver", "Africa/Casablanca"):
    print(at.astimezone(zones.zone_of(name)).utcoffset(), at.astimezone(zoneinfo.ZoneInfo(name)).utcoffset())
"""


def test_the_machines_own_files_never_count(tmp_path: Path) -> None:
    """On this machine the zone files are wrong: each name has UTC-5."""
    for name in ("America/Vancouver", "Africa/Casablanca"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        zone = Path(sys.modules["tzdata"].__file__ or "").parent / "zoneinfo" / "Etc" / "GMT+5"
        shutil.copy(zone, tmp_path / name)
    environment = {**os.environ, "PYTHONTZPATH": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", RULES], env=environment, capture_output=True, text=True, check=True)
    # British Columbia keeps daylight time since 1 November 2026, Morocco standard time since 20 September 2026.
    assert done.stdout.splitlines() == ["-1 day, 17:00:00 -1 day, 17:00:00", "0:00:00 0:00:00"]


def test_no_code_of_ours_reads_zones_otherwise() -> None:
    """`zoneinfo` prefers the machine's files, and pytz and dateutil have files of their own."""
    allowed = {SCHEMAS / "flexcredits_schemas" / name for name in ("zones.py", "generators/zones.py")}
    for folder in ("schemas", "services", "deploy"):
        for path in set((REPOSITORY / folder).rglob("*.py")) - allowed:
            assert not re.search(r"\b(zoneinfo|pytz|dateutil)\b", path.read_text()), path


def test_rules_of_this_autumn_are_the_locked_ones() -> None:
    assert TZ_VERSION >= "2026f"
    assert NOVEMBER.astimezone(zone_of("America/Vancouver")).utcoffset() == timedelta(hours=-7)
    assert NOVEMBER.astimezone(zone_of("Africa/Casablanca")).utcoffset() == timedelta(0)


@pytest.mark.parametrize("name", [None, "", "posix/Europe/Berlin", "../../etc/passwd", "Africa", "x" * 300])
def test_an_unknown_name_is_shown_in_utc(name: str | None) -> None:
    assert zone_of(name) is UTC
    assert name is None or find_zone(name) is None
    assert name is None or canonical_zone(name) is None


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Etc/GMT-14", "Etc/GMT+12", "America/Los_Angeles", "UTC"])
@pytest.mark.parametrize("day", [date.min, date.max, date(2000, 1, 1), date(9999, 12, 30)])
def test_the_calendars_edges_have_an_instant_in_every_zone(zone: str, day: date) -> None:
    at = midnight(day, zone)
    assert at.tzinfo is UTC
    assert abs(at.replace(tzinfo=None) - datetime.combine(day, datetime.min.time())) <= timedelta(hours=14)
    assert local_date(datetime.combine(day, datetime.min.time(), UTC), zone) in (
        day, date.fromordinal(max(1, day.toordinal() - 1)),
    )  # fmt: skip


def dated(begins: str, ends: str) -> dict[str, Any]:
    document = contract(**{"from": begins, "to": ends})
    document["data"] |= {"from": begins, "to": ends}
    return document


@pytest.mark.parametrize("begins", ["0001-01-01", "1999-12-31"])
def test_a_contract_begins_in_2000_or_later(begins: str) -> None:
    pointer, detail = refused(dated(begins, "2027-01-01"))
    assert (pointer, detail) == ("/data/from", "a contract begins on 2000-01-01 or later")


@pytest.mark.parametrize(("begins", "ends"), [("2000-01-01", "2027-01-01"), ("2026-01-01", "9999-12-31")])
def test_a_contract_may_have_an_open_end(begins: str, ends: str) -> None:
    decoded = taken(dated(begins, ends))
    assert (str(decoded.data.from_), str(decoded.data.to)) == (begins, ends)


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00"])
def test_an_instant_beyond_the_calendar_is_refused(at: str) -> None:
    assert refused(rate(effective_from=at)) == ("/data/effective_from", "out of range")


def test_changed_rules_are_found_to_the_second() -> None:
    vancouver, before = changes_of("America/Vancouver"), changes_of("America/Los_Angeles")
    since = differ_since(before, vancouver)
    assert since == datetime(2026, 11, 1, 9, tzinfo=UTC).timestamp()  # where clocks were set back, they stay
    assert differ_since(vancouver, vancouver) is None
    assert changes_of("Asia/Kathmandu")[1:] == (20_700,)
    assert zones_differing_in(Path("/nowhere"), [0])[:1] == [min(ACCEPTED_ZONES)]
    locked = Path(sys.modules["tzdata"].__file__ or "").parent / "zoneinfo"
    assert zones_differing_in(locked, range(1_790_000_000, 1_800_000_000, 604_800)) == []


@given(st.sampled_from(sorted(ACCEPTED_ZONES)), st.integers(RULES_FROM, RULES_TO - 1))
def test_changes_say_every_offset(zone: str, second: int) -> None:
    changes = changes_of(zone)
    assert changes[2 * sum(at <= second for at in changes[::2]) - 1] == offset_at(zone, second)
