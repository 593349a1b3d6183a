"""Single events of the ledger, and the buckets in which they count. Pure."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Literal, NamedTuple

from flexcredits_schemas.calendar import EPOCH, QUARTER_S, local_day
from flexcredits_schemas.credits import MICRO, round_half_even
from flexcredits_schemas.events import FeatureKind, Product
from flexcredits_schemas.quantities import Price, charged_quantities
from flexcredits_schemas.zones import differ_since

WaitsFor = Literal["organization", "rate", "original", "sum_limit"]


class LedgerKey(NamedTuple):
    """Primary key: partition and 16 bytes, both computed from the identity (flexcredits_schemas.identity)."""

    ledger_bucket: int
    identity: bytes


class Posting(NamedTuple):
    """Ledger row of an event. Its micro-credits are 0 while it is held."""

    credits: int
    occurred_at: datetime
    received_at: datetime
    partition: int
    offset: int
    held: bool
    reason: str | None = None
    """Reason of a correction."""


class Rejected(NamedTuple):
    """A record that could not be counted."""

    topic: str
    partition: int
    offset: int
    reason: str
    pointer: str
    received_at: datetime


class Dimensions(NamedTuple):
    """Empty text: no agent or surface."""

    product: Product
    feature_kind: FeatureKind
    feature: str
    agent: str
    surface: str


class RateUsed(NamedTuple):
    """`credits` per `per` units, both in millionths. Without `effective_from` it applies from `received_at`."""

    credits: int
    per: int
    effective_from: datetime | None
    received_at: datetime
    is_own: bool  # rate of the organization, not of the deployment
    part_of: str | None = None  # the unit that includes this rate's unit


class UnitUsed(NamedTuple):
    """One unit of an event with several quantities. Without a rate it is held.

    `charged` is what the quantity leaves after the units that are part of it.
    """

    unit: str
    quantity: int
    charged: int | None
    part_of: str | None
    rate: RateUsed | None

    @property
    def credits_e12(self) -> int | None:
        """Its part of the credits before the sum is rounded, in 10^-12 credits, rounded half to even."""
        if self.rate is None or self.charged is None:
            return None
        return round_half_even(self.charged * self.rate.credits * MICRO, self.rate.per)


def read_units(quantities: Mapping[str, Sequence[int | None]], rates: Mapping[int, RateUsed]) -> list[UnitUsed]:
    """The units of `usage_ledger.quantities`, sorted, with their rates by rate_id."""
    amounts = {unit: amount for unit, (amount, _) in sorted(quantities.items()) if amount is not None}
    used = {unit: rates[number] for unit, (_, number) in quantities.items() if number is not None and number in rates}
    charged: Mapping[str, int] = {}
    if used.keys() == amounts.keys():
        charged = charged_quantities(
            amounts, {unit: Price(rate.credits, rate.per, rate.part_of) for unit, rate in used.items()}
        )
    return [
        UnitUsed(
            unit=unit, quantity=amount, charged=charged.get(unit), rate=(rate := used.get(unit)),
            part_of=rate.part_of if rate and rate.part_of in amounts else None,
        )
        for unit, amount in amounts.items()
    ]  # fmt: skip


class Entry(NamedTuple):
    """An event: its posting, and how its credits were computed. Quantity is in millionths of the unit."""

    posting: Posting
    dimensions: Dimensions
    corrected: int | None  # sum of its corrections in micro-credits; None without any
    quantity: int | None
    unit: str | None
    rate: RateUsed | None
    waits_for: WaitsFor | None
    corrects: LedgerKey | None
    attribution_id: int | None
    run: bytes | None  # key of the run
    run_id: str | None  # of a held event; the ledger has only the key
    parent_id: str | None
    units: list[UnitUsed]  # of an event with several quantities; then there is no `quantity` and no `rate`


def waits_for_now(entry: Entry, *, knows_organization: bool) -> WaitsFor | None:
    """What a held event waits for now. The ledger names the first thing that was missing, which may have arrived since.

    The organization is needed first; then a quantity needs its rate, and a correction its original event.
    """
    if entry.waits_for != "organization" or not knows_organization:
        return entry.waits_for
    if entry.corrects is not None:
        return "original"
    return "rate" if entry.unit is not None or entry.units else "organization"


class Hour(NamedTuple):
    """Dispositions of the records that were appended to a partition in an hour."""

    topic: str
    partition: int
    hour_at: datetime
    applied: int
    counted: int
    duplicate: int
    rejected: int
    held: int


class CountedZone(NamedTuple):
    """Time zone rules with which days were counted, as `changes_of` returns them; None: not recorded."""

    tz: str | None
    changes: list[int] | None

    def differs_since(self, today: Sequence[int]) -> datetime | None:
        """First instant at which they differ from today's rules."""
        since = None if self.changes is None else differ_since(self.changes, today)
        return None if since is None else datetime.fromtimestamp(since, UTC)


class EventBuckets(NamedTuple):
    """The quarter of an hour and the day in which an event counts."""

    quarter_hour_at: datetime
    day: date


def event_buckets(occurred_at: datetime, time_zone: str) -> EventBuckets:
    """The quarter of an hour (UTC), and the day in the zone on which it begins."""
    quarter = int(occurred_at.timestamp() // QUARTER_S)
    day = EPOCH + timedelta(days=local_day(quarter, time_zone))
    return EventBuckets(datetime.fromtimestamp(quarter * QUARTER_S, UTC), day)
