"""What the ledger knows of single events, and where an event's time puts it. Pure."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Literal, NamedTuple

from flexcredits_schemas.calendar import EPOCH, QUARTER_S, local_day
from flexcredits_schemas.events import FeatureKind, Product
from flexcredits_schemas.zones import differ_since

WaitsFor = Literal["organization", "rate", "original", "sum_limit"]


class LedgerKey(NamedTuple):
    """Partition and 16 bytes, both of which follow from who the event is (flexcredits_schemas.identity)."""

    ledger_bucket: int
    identity: bytes


class Posting(NamedTuple):
    """How an event stands in the ledger. Micro-credits are 0 as long as it is held."""

    credits: int
    occurred_at: datetime
    received_at: datetime
    partition: int
    offset: int
    held: bool
    reason: str | None = None
    """Why a correction was made."""


class Rejected(NamedTuple):
    """A record that could not be counted."""

    topic: str
    partition: int
    offset: int
    reason: str
    pointer: str
    received_at: datetime


class Dimensions(NamedTuple):
    """ "" where there is no agent or surface."""

    product: Product
    feature_kind: FeatureKind
    feature: str
    agent: str
    surface: str


class RateUsed(NamedTuple):
    """`credits` for `per` units, both in millionths. Without `effective_from` it is in force from its receipt."""

    credits: int
    per: int
    effective_from: datetime | None
    received_at: datetime
    is_own: bool  # the organization's, not the deployment's


class Entry(NamedTuple):
    """An event: its posting, and how its credits came about. Quantity is in millionths of the unit."""

    posting: Posting
    dimensions: Dimensions
    corrected: int | None  # micro-credits that its corrections add; None without any
    quantity: int | None
    unit: str | None
    rate: RateUsed | None
    waits_for: WaitsFor | None
    corrects: LedgerKey | None


def waits_for_now(entry: Entry, *, knows_organization: bool) -> WaitsFor | None:
    """What a held event still waits for: the ledger names the first thing that was missing, which may have come since.

    The organization's fact is asked for first. With it, a quantity waits for its rate and a correction for its original.
    """
    if entry.waits_for != "organization" or not knows_organization:
        return entry.waits_for
    if entry.corrects is not None:
        return "original"
    return "rate" if entry.unit is not None else "organization"


class Hour(NamedTuple):
    """What became of the records that a partition took in the hour that begins then."""

    topic: str
    partition: int
    hour_at: datetime
    applied: int
    counted: int
    duplicate: int
    rejected: int
    held: int


class CountedZone(NamedTuple):
    """Rules by which days were counted, as changes_of gives them; None where nobody wrote them down."""

    tz: str | None
    changes: list[int] | None

    def differs_since(self, today: Sequence[int]) -> datetime | None:
        """When they first differed from today's rules."""
        since = None if self.changes is None else differ_since(self.changes, today)
        return None if since is None else datetime.fromtimestamp(since, UTC)


class Place(NamedTuple):
    """The buckets in which an event counts."""

    quarter_hour_at: datetime
    day: date


def place_of(occurred_at: datetime, time_zone: str) -> Place:
    """The quarter of an hour, UTC, and the day on which that begins in the zone."""
    quarter = int(occurred_at.timestamp() // QUARTER_S)
    day = EPOCH + timedelta(days=local_day(quarter, time_zone))
    return Place(datetime.fromtimestamp(quarter * QUARTER_S, UTC), day)
